/** The service that answers HTTP: replicas of `sluice serve`, more of them when requests or CPU ask for it. */
import { Duration } from 'aws-cdk-lib';
import type { Cluster } from 'aws-cdk-lib/aws-ecs';
import { Construct } from 'constructs';
import { aliveCheck, sluiceImage, sluiceTask, type TaskParts } from './container.ts';
import { API_PORT, METRICS_PORT, type Network } from './network.ts';
import { type WebParts, WebService } from './web-service.ts';

/** After SIGTERM a task answers on for so long; the balancer has long been told by ECS to send it nothing. */
const DRAIN_MS = 10_000;
/** Open requests get so long to end: the longest that a client can ask for is `Prefer: wait=50`. */
const DEADLINE_MS = 55_000;
/** ECS kills a task after this time. What is buffered is sent between the deadline and this. */
const STOP_TIMEOUT = Duration.millis(DRAIN_MS + DEADLINE_MS + 10_000);
/** The balancer gives up on a request of a task that stops no sooner than the task does. */
const DEREGISTRATION_DELAY = Duration.millis(DRAIN_MS + DEADLINE_MS);
/** If the server closed an idle connection first, the balancer would answer 502 for the request that it sends then. */
const KEEP_ALIVE_MS = 75_000;

/** What scaling keeps a task with one vCPU at, requests a second: half of the tasks can carry the load for a while. */
const REQUESTS_PER_VCPU = 1000;

export interface ApiParts
  extends Pick<TaskParts, 'options' | 'logGroup' | 'mysql' | 'redis' | 'user'>,
    Pick<WebParts, 'balancer' | 'deployment' | 'deploymentHook' | 'route' | 'securityGroup' | 'tasks'> {}

export class Api extends Construct {
  readonly web: WebService;

  constructor(scope: Construct, id: string, cluster: Cluster, network: Network, parts: ApiParts) {
    super(scope, id);
    const { balancer, deployment, deploymentHook, route, securityGroup, tasks, ...given } = parts;
    this.web = new WebService(this, 'Web', cluster, network, {
      balancer,
      deployment,
      deploymentHook,
      route,
      securityGroup,
      tasks,
      task: this.#task(network, given),
      port: API_PORT,
      ready: { path: '/readyz', port: String(METRICS_PORT), healthyHttpCodes: '200' },
      deregistrationDelay: DEREGISTRATION_DELAY,
      requestsPerSecond: (given.options.size.apiCpu / 1024) * REQUESTS_PER_VCPU,
    });
  }

  #task(network: Network, parts: Pick<TaskParts, 'options' | 'logGroup' | 'mysql' | 'redis' | 'user'>) {
    const { apiCpu, apiMemory } = parts.options.size;
    return sluiceTask(this, 'Task', {
      ...parts,
      image: sluiceImage(this, parts.options.image),
      command: 'serve',
      cpu: apiCpu,
      memory: apiMemory,
      environment: {
        SLUICE_API_HOST: '0.0.0.0',
        SLUICE_API_PORT: String(API_PORT),
        // The balancer asks /readyz there.
        SLUICE_HTTP_HOST: '0.0.0.0',
        SLUICE_DRAIN_MS: String(DRAIN_MS),
        SLUICE_SHUTDOWN_DEADLINE_MS: String(DEADLINE_MS),
        SLUICE_API_KEEP_ALIVE_MS: String(KEEP_ALIVE_MS),
        SLUICE_API_IDLE_MS: String(KEEP_ALIVE_MS),
        SLUICE_TRUSTED_PROXIES: network.vpc.vpcCidrBlock,
      },
      healthCheck: aliveCheck,
      ports: [API_PORT, METRICS_PORT],
      stopTimeout: STOP_TIMEOUT,
    });
  }
}
