/** The service that flushes: replicas of `sluice worker`, replaced without a gap, rolled back by itself. */
import { Duration } from 'aws-cdk-lib';
import {
  AvailabilityZoneRebalancing,
  type Cluster,
  FargatePlatformVersion,
  FargateService,
  type FargateTaskDefinition,
  type HealthCheck,
  PropagatedTagSource,
} from 'aws-cdk-lib/aws-ecs';
import { Construct } from 'constructs';
import { SHUTDOWN_DEADLINE_MS, sluiceImage, sluiceTask, type TaskParts } from './container.ts';
import type { Network } from './network.ts';

/**
 * Whether the process answers (/healthz), not whether it can flush (/readyz): ECS kills what is unhealthy, and a MySQL that
 * is away is no reason to kill every worker, which waits for it, at its start too (SLUICE_START_WAIT_MS). A worker that
 * cannot start at all exits; one that stops flushing restarts its consumer itself, and shows in the alarm on flush lag.
 * (ECS does not look at the health check of the image.)
 */
const healthCheck: HealthCheck = {
  command: ['CMD', 'node', '/app/dist/cli/main.js', 'health'],
  interval: Duration.seconds(10),
  timeout: Duration.seconds(5),
  retries: 3,
  // It listens at once, and waits for its servers then.
  startPeriod: Duration.seconds(60),
};

export class Workers extends Construct {
  readonly service: FargateService;
  readonly taskDefinition: FargateTaskDefinition;

  constructor(
    scope: Construct,
    id: string,
    cluster: Cluster,
    network: Network,
    parts: Pick<TaskParts, 'options' | 'logGroup' | 'mysql' | 'redis' | 'user'>,
  ) {
    super(scope, id);
    const { workerCpu, workerMemory } = parts.options.size;
    this.taskDefinition = sluiceTask(this, 'Task', {
      ...parts,
      image: sluiceImage(this, parts.options.image),
      command: 'worker',
      cpu: workerCpu,
      memory: workerMemory,
      environment: { SLUICE_EMF: '1', SLUICE_SHUTDOWN_DEADLINE_MS: String(SHUTDOWN_DEADLINE_MS) },
      healthCheck,
    });
    this.service = new FargateService(this, 'Service', {
      cluster,
      taskDefinition: this.taskDefinition,
      platformVersion: FargatePlatformVersion.VERSION1_4,
      // Else no desiredCount: each deployment would undo what the scaling has set.
      ...(parts.options.minWorkers === 0 ? { desiredCount: 0 } : {}),
      minHealthyPercent: 100,
      maxHealthyPercent: 200,
      circuitBreaker: { rollback: true },
      availabilityZoneRebalancing: AvailabilityZoneRebalancing.ENABLED,
      assignPublicIp: false,
      vpcSubnets: { subnets: network.taskSubnets },
      securityGroups: [network.workers],
      enableExecuteCommand: false,
      propagateTags: PropagatedTagSource.SERVICE,
    });
  }
}
