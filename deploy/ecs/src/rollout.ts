/**
 * How a new version of a service behind the balancer takes over, by ECS' own strategies, and for how long it can be taken
 * back at once. README.md says when to use which. Workers and jobs have no requests to shift: they always roll.
 */
import { Duration } from 'aws-cdk-lib';
import { DeploymentStrategy, type FargateServiceProps } from 'aws-cdk-lib/aws-ecs';

export const deployments = ['rolling', 'blueGreen', 'canary'] as const;
export type Deployment = (typeof deployments)[number];

/** Old tasks stay so long after the last request was shifted. Longer than any alarm takes that rolls back. */
const BAKE = Duration.minutes(15);
/** Percent of the requests that a canary gets, and for how long. */
const CANARY_PERCENT = 10;
const CANARY_TIME = Duration.minutes(10);

export const rollouts = {
  rolling: {
    deploymentStrategy: DeploymentStrategy.ROLLING,
    // Only rolling has one: with the others, a version whose tasks do not start waits until somebody stops it.
    circuitBreaker: { rollback: true },
  },
  blueGreen: { deploymentStrategy: DeploymentStrategy.BLUE_GREEN, bakeTime: BAKE },
  canary: {
    deploymentStrategy: DeploymentStrategy.CANARY,
    canaryConfiguration: { stepPercent: CANARY_PERCENT, stepBakeTime: CANARY_TIME },
    bakeTime: BAKE,
  },
} as const satisfies Record<Deployment, Partial<FargateServiceProps>>;

/** Whether old and new tasks are in target groups of their own, between which ECS shifts the requests. */
export function shiftsRequests(deployment: Deployment): boolean {
  return deployment !== 'rolling';
}
