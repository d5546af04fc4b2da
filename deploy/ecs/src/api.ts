/** The service that answers HTTP: replicas of `sluice serve`, more of them when requests or CPU ask for it. */
import { Duration } from 'aws-cdk-lib';
import {
  AvailabilityZoneRebalancing,
  type Cluster,
  FargatePlatformVersion,
  FargateService,
  PropagatedTagSource,
} from 'aws-cdk-lib/aws-ecs';
import { Construct } from 'constructs';
import { Balancer } from './balancer.ts';
import { aliveCheck, sluiceImage, sluiceTask, type TaskParts } from './container.ts';
import { Firewall } from './firewall.ts';
import { API_PORT, type ApiGroups, METRICS_PORT, type Network } from './network.ts';
import type { ApiOptions } from './options.ts';

/** After SIGTERM a task answers on for so long; the balancer has long been told by ECS to send it nothing. */
const DRAIN_MS = 10_000;
/** Open requests get so long to end: the longest that a client can ask for is `Prefer: wait=50`. */
const DEADLINE_MS = 55_000;
/** ECS kills a task after this time. What is buffered is sent between the deadline and this. */
const STOP_TIMEOUT = Duration.millis(DRAIN_MS + DEADLINE_MS + 10_000);
/** The balancer gives up on a request of a task that stops no sooner than the task does. */
const DEREGISTRATION_DELAY = Duration.millis(DRAIN_MS + DEADLINE_MS);
/** Longest wait of the balancer for either side. Above `Prefer: wait=50`, below the keep-alive of the server. */
const IDLE_TIMEOUT = Duration.seconds(60);
/** If the server closed an idle connection first, the balancer would answer 502 for the request that it sends then. */
const KEEP_ALIVE_MS = 75_000;

/** What scaling keeps a task with one vCPU at, requests a second: half of the tasks can carry the load for a while. */
const REQUESTS_PER_VCPU = 1000;
const CPU_PERCENT = 50;

export class Api extends Construct {
  readonly service: FargateService;
  readonly balancer: Balancer;

  constructor(
    scope: Construct,
    id: string,
    cluster: Cluster,
    network: Network & { readonly api: ApiGroups },
    parts: Pick<TaskParts, 'options' | 'logGroup' | 'mysql' | 'redis' | 'user'> & {
      readonly api: ApiOptions;
    },
  ) {
    super(scope, id);
    const { api, ...task } = parts;
    this.service = new FargateService(this, 'Service', {
      cluster,
      taskDefinition: this.#task(network, task),
      platformVersion: FargatePlatformVersion.VERSION1_4,
      // No desiredCount: each deployment would undo what the scaling has set.
      minHealthyPercent: 100,
      maxHealthyPercent: 200,
      healthCheckGracePeriod: Duration.seconds(60),
      circuitBreaker: { rollback: true },
      availabilityZoneRebalancing: AvailabilityZoneRebalancing.ENABLED,
      assignPublicIp: false,
      vpcSubnets: { subnets: network.taskSubnets },
      securityGroups: [network.api.tasks],
      enableExecuteCommand: false,
      propagateTags: PropagatedTagSource.SERVICE,
    });
    this.balancer = new Balancer(this, 'Balancer', network, {
      ...api,
      service: this.service,
      idleTimeout: IDLE_TIMEOUT,
      deregistrationDelay: DEREGISTRATION_DELAY,
      logRetentionDays: task.options.logRetentionDays,
    });
    new Firewall(this, 'Firewall', this.balancer.loadBalancer, api.requestsPerAddress);
    this.#scale(api, task.options.size.apiCpu);
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

  #scale({ minTasks, maxTasks }: ApiOptions, cpu: number): void {
    const tasks = this.service.autoScaleTaskCount({ minCapacity: minTasks, maxCapacity: maxTasks });
    const cooldowns = { scaleOutCooldown: Duration.minutes(1), scaleInCooldown: Duration.minutes(5) };
    tasks.scaleOnRequestCount('Requests', {
      // The balancer counts them by the minute.
      requestsPerTarget: (cpu / 1024) * REQUESTS_PER_VCPU * 60,
      targetGroup: this.balancer.targetGroup,
      ...cooldowns,
    });
    tasks.scaleOnCpuUtilization('Cpu', { targetUtilizationPercent: CPU_PERCENT, ...cooldowns });
  }
}
