/** The service that flushes: replicas of `sluice worker`, replaced without a gap, rolled back by itself. */
import { type Cluster, FargateService, type FargateTaskDefinition } from 'aws-cdk-lib/aws-ecs';
import { Construct } from 'constructs';
import {
  aliveCheck,
  SHUTDOWN_DEADLINE_MS,
  serviceBasics,
  sluiceImage,
  sluiceTask,
  type TaskParts,
} from './container.ts';
import type { Network } from './network.ts';

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
      healthCheck: aliveCheck,
    });
    this.service = new FargateService(this, 'Service', {
      ...serviceBasics(network),
      cluster,
      taskDefinition: this.taskDefinition,
      // Else no desiredCount: each deployment would undo what the scaling has set.
      ...(parts.options.minWorkers === 0 ? { desiredCount: 0 } : {}),
      circuitBreaker: { rollback: true },
      securityGroups: [network.workers],
    });
  }
}
