/** What answers requests: the balancer with its web ACL, and behind it the HTTP API, the example shop, or both. */
import { AlarmBehavior, type Cluster } from 'aws-cdk-lib/aws-ecs';
import { Construct } from 'constructs';
import type { Alarms } from './alarms.ts';
import { Api } from './api.ts';
import { ALL_PATHS, Balancer, type Route } from './balancer.ts';
import type { TaskParts } from './container.ts';
import { Firewall } from './firewall.ts';
import { WORKER_USER } from './mysql.ts';
import type { BalancerGroups, Network } from './network.ts';
import type { BalancerOptions } from './options.ts';
import type { Redis } from './redis.ts';
import { Shop } from './shop.ts';
import type { WebService } from './web-service.ts';

/** Above the time that the shop waits for a server that is away, and far below what people wait for. */
const SHOP_SLOW_SECONDS = 1;

const API_FIRST: Route = { priority: 10, paths: ['/v1/*'] };
const THE_REST: Route = { priority: 100, paths: ALL_PATHS };

export interface FrontParts extends Pick<TaskParts, 'options' | 'logGroup' | 'mysql'> {
  readonly redis: Redis;
  readonly groups: BalancerGroups;
  readonly balancer: BalancerOptions;
  readonly alarms: Alarms;
}

export class Front extends Construct {
  readonly balancer: Balancer;
  readonly api: Api | undefined;
  readonly shop: Shop | undefined;

  constructor(scope: Construct, id: string, cluster: Cluster, network: Network, parts: FrontParts) {
    super(scope, id);
    const { groups, balancer: asked, alarms, ...shared } = parts;
    const { options } = shared;
    const { logRetentionDays } = options;
    this.balancer = new Balancer(this, 'Balancer', network, groups, { ...asked, logRetentionDays });
    new Firewall(this, 'Firewall', this.balancer.loadBalancer, asked.requestsPerAddress);
    const { deployment, deploymentHook } = asked;
    const behind = { ...shared, deployment, deploymentHook, balancer: this.balancer };
    if (options.api && network.api)
      this.api = new Api(this, 'Api', cluster, network, {
        ...behind,
        user: WORKER_USER,
        tasks: options.api,
        route: options.shop ? API_FIRST : THE_REST,
        securityGroup: network.api,
      });
    if (options.shop && network.shop)
      this.shop = new Shop(this, 'Shop', cluster, network, {
        ...behind,
        image: options.shop.image,
        tasks: options.shop,
        route: THE_REST,
        groups: network.shop,
      });
    this.#watch(alarms);
  }

  /**
   * A new version is taken back if it answers with errors or too slowly, and if updates no longer reach MySQL: it may send
   * what workers cannot write.
   */
  #watch(alarms: Alarms): void {
    const ofBalancer = alarms.watchBalancer(this.balancer);
    const rollBack = (web: WebService, ownAlarms: { readonly alarmName: string }[]) =>
      web.service.enableDeploymentAlarms(
        [...ownAlarms, ofBalancer, alarms.flushLag].map(({ alarmName }) => alarmName),
        { behavior: AlarmBehavior.ROLLBACK_ON_ALARM },
      );
    // A caller of the API may ask to wait for 50 seconds.
    if (this.api) rollBack(this.api.web, alarms.watch('Api', 'the HTTP API', this.api.web));
    if (!this.shop) return;
    rollBack(this.shop.web, alarms.watch('Shop', 'the shop', this.shop.web, SHOP_SLOW_SECONDS));
    alarms.watchCache(this.shop.cache);
  }
}
