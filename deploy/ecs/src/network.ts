/** Where everything lives, and who may talk to whom: each side is named, none is open to an address. */
import {
  FlowLogDestination,
  FlowLogTrafficType,
  GatewayVpcEndpointAwsService,
  type ISubnet,
  type IVpc,
  Peer,
  Port,
  SecurityGroup,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import type { BalancerOptions, Options } from './options.ts';
import { shiftsRequests } from './rollout.ts';

export const REDIS_PORT = 6379;
export const MYSQL_PORT = 3306;
export const METRICS_PORT = 9464;
/** Port of `sluice serve`, inside the network. */
export const API_PORT = 8080;
/** Port of the example shop, inside the network. */
export const SHOP_PORT = 3000;
export const HTTPS_PORT = 443;
/** At this port a new version can be tested before callers reach it. */
export const TEST_PORT = 8443;

/** The security groups of the balancer, if there is one. */
export interface BalancerGroups {
  readonly balancer: SecurityGroup;
  /** For the services that call what is behind it: attach it to their tasks. */
  readonly clients: SecurityGroup;
}

/** Those of the example shop, if there is one. */
export interface ShopGroups {
  readonly tasks: SecurityGroup;
  readonly cache: SecurityGroup;
}

export class Network extends Construct {
  readonly vpc: IVpc;
  /** With a way out, for the image and the logs. */
  readonly taskSubnets: ISubnet[];
  /** Without one. */
  readonly dataSubnets: ISubnet[];
  readonly workers: SecurityGroup;
  /** For the API services that use Sluice: attach it to their tasks. */
  readonly producers: SecurityGroup;
  readonly redis: SecurityGroup;
  readonly proxy: SecurityGroup;
  readonly mysql: SecurityGroup;
  readonly front: BalancerGroups | undefined;
  /** Tasks of `sluice serve`. */
  readonly api: SecurityGroup | undefined;
  readonly shop: ShopGroups | undefined;
  /** The task that makes the users of MySQL; the only one that meets it without the proxy. */
  readonly administration: SecurityGroup;

  constructor(scope: Construct, id: string, options: Options) {
    super(scope, id);
    this.vpc = options.network ? this.#existing(options.network) : this.#own(options);
    this.taskSubnets = this.vpc.privateSubnets;
    this.dataSubnets = this.vpc.isolatedSubnets.length > 0 ? this.vpc.isolatedSubnets : this.taskSubnets;

    this.workers = this.#group('Workers', 'Sluice: workers and commands');
    this.producers = this.#group('Producers', 'Sluice: API services that call it');
    this.administration = this.#group('Administration', 'Sluice: the task that makes the users of MySQL');
    this.redis = this.#group('Redis', 'Sluice: Redis');
    this.proxy = this.#group('Proxy', 'Sluice: RDS Proxy');
    this.mysql = this.#group('Mysql', 'Sluice: MySQL');
    this.front = options.balancer && this.#balancerGroups(options.balancer);
    this.api = options.api && this.#apiGroup(this.front!);
    this.shop = options.shop && this.#shopGroups(this.front!);
    const tasks = [this.workers, this.api, this.shop?.tasks].filter(group => group !== undefined);
    for (const client of [...tasks, this.producers]) {
      allow(client, this.redis, REDIS_PORT, 'Redis');
      allow(client, this.proxy, MYSQL_PORT, 'MySQL, through the proxy');
    }
    allow(this.proxy, this.mysql, MYSQL_PORT, 'MySQL');
    allow(this.administration, this.mysql, MYSQL_PORT, 'MySQL, to make its users');
    for (const task of [...tasks, this.administration])
      task.addEgressRule(Peer.anyIpv4(), Port.tcp(HTTPS_PORT), 'Images, logs and secrets of AWS');
    if (options.scrapeFrom) {
      const prometheus = SecurityGroup.fromSecurityGroupId(this, 'Prometheus', options.scrapeFrom);
      for (const task of tasks)
        task.addIngressRule(prometheus, Port.tcp(METRICS_PORT), 'Metrics, for this Prometheus only');
    }
  }

  /** Who may reach the balancer from elsewhere is said beside the balancer. */
  #balancerGroups({ deployment }: BalancerOptions): BalancerGroups {
    const groups = {
      balancer: this.#group('Balancer', 'Sluice: load balancer'),
      clients: this.#group('Clients', 'Sluice: services that call what is behind the load balancer'),
    };
    allow(groups.clients, groups.balancer, HTTPS_PORT, 'Requests');
    if (shiftsRequests(deployment))
      allow(groups.clients, groups.balancer, TEST_PORT, 'Tests of new versions');
    return groups;
  }

  #apiGroup({ balancer }: BalancerGroups): SecurityGroup {
    const tasks = this.#group('Api', 'Sluice: tasks of the HTTP API');
    allow(balancer, tasks, API_PORT, 'Requests');
    allow(balancer, tasks, METRICS_PORT, 'Health checks');
    return tasks;
  }

  #shopGroups({ balancer }: BalancerGroups): ShopGroups {
    const groups = {
      tasks: this.#group('Shop', 'Sluice: tasks of the example shop'),
      cache: this.#group('Cache', 'Sluice: Redis of the cache of the example shop'),
    };
    allow(balancer, groups.tasks, SHOP_PORT, 'Requests and health checks');
    allow(groups.tasks, groups.cache, REDIS_PORT, 'The cache');
    return groups;
  }

  #group(id: string, description: string): SecurityGroup {
    return new SecurityGroup(this, id, { vpc: this.vpc, description, allowAllOutbound: false });
  }

  #existing({ vpcCidr, publicSubnetIds, ...network }: NonNullable<Options['network']>): IVpc {
    return Vpc.fromVpcAttributes(this, 'Vpc', {
      ...network,
      ...(vpcCidr ? { vpcCidrBlock: vpcCidr } : {}),
      ...(publicSubnetIds.length > 0 ? { publicSubnetIds } : {}),
    });
  }

  #own({ size, logRetentionDays }: Options): IVpc {
    const vpc = new Vpc(this, 'Vpc', {
      maxAzs: Math.max(2, size.natGateways),
      natGateways: size.natGateways,
      subnetConfiguration: [
        { name: 'public', subnetType: SubnetType.PUBLIC, cidrMask: 24, mapPublicIpOnLaunch: false },
        { name: 'tasks', subnetType: SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 22 },
        { name: 'data', subnetType: SubnetType.PRIVATE_ISOLATED, cidrMask: 24 },
      ],
      // Layers of images come from S3; what goes through the NAT gateways is paid for.
      gatewayEndpoints: { S3: { service: GatewayVpcEndpointAwsService.S3 } },
    });
    const logGroup = new LogGroup(this, 'Flows', { retention: logRetentionDays });
    vpc.addFlowLog('Refused', {
      destination: FlowLogDestination.toCloudWatchLogs(logGroup),
      trafficType: FlowLogTrafficType.REJECT,
    });
    return vpc;
  }
}

function allow(from: SecurityGroup, to: SecurityGroup, port: number, what: string): void {
  from.addEgressRule(to, Port.tcp(port), what);
  to.addIngressRule(from, Port.tcp(port), what);
}
