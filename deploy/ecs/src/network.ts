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
import type { Options } from './options.ts';

export const REDIS_PORT = 6379;
export const MYSQL_PORT = 3306;
export const METRICS_PORT = 9464;

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
    for (const client of [this.workers, this.producers]) {
      allow(client, this.redis, REDIS_PORT, 'Redis');
      allow(client, this.proxy, MYSQL_PORT, 'MySQL, through the proxy');
    }
    allow(this.proxy, this.mysql, MYSQL_PORT, 'MySQL');
    allow(this.administration, this.mysql, MYSQL_PORT, 'MySQL, to make its users');
    for (const task of [this.workers, this.administration])
      task.addEgressRule(Peer.anyIpv4(), Port.tcp(443), 'Images, logs and secrets of AWS');
    if (options.scrapeFrom) {
      const prometheus = SecurityGroup.fromSecurityGroupId(this, 'Prometheus', options.scrapeFrom);
      this.workers.addIngressRule(prometheus, Port.tcp(METRICS_PORT), 'Metrics, for this Prometheus only');
    }
  }

  #group(id: string, description: string): SecurityGroup {
    return new SecurityGroup(this, id, { vpc: this.vpc, description, allowAllOutbound: false });
  }

  #existing({ vpcId, availabilityZones, privateSubnetIds }: NonNullable<Options['network']>): IVpc {
    return Vpc.fromVpcAttributes(this, 'Vpc', { vpcId, availabilityZones, privateSubnetIds });
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
