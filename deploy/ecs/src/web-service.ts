/**
 * A service behind the balancer: its tasks, their target groups, the paths that lead to it, and its scaling. With blue-green
 * and canary deployment it has a second target group, for the new version, and ECS changes the weights of its rules.
 */
import { Duration, Validations } from 'aws-cdk-lib';
import { MathExpression, type Metric, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import type { SecurityGroup } from 'aws-cdk-lib/aws-ec2';
import {
  AlternateTarget,
  type Cluster,
  DeploymentControllerType,
  DeploymentLifecycleLambdaTarget,
  DeploymentLifecycleStage,
  FargateService,
  type FargateTaskDefinition,
  ListenerRuleConfiguration,
} from 'aws-cdk-lib/aws-ecs';
import {
  ApplicationProtocol,
  ApplicationTargetGroup,
  type HealthCheck,
  HttpCodeTarget,
  TargetGroupLoadBalancingAlgorithmType,
  TargetType,
} from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { ManagedPolicy, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import type { Balancer, Route } from './balancer.ts';
import { CONTAINER, serviceBasics } from './container.ts';
import type { Network } from './network.ts';
import type { BalancerOptions, TaskRange } from './options.ts';
import { rollouts, shiftsRequests } from './rollout.ts';

/** Where the balancer asks a task whether it may have requests, and which answers say yes. */
export type Ready = Required<Pick<HealthCheck, 'path' | 'port' | 'healthyHttpCodes'>>;

export interface WebParts extends Pick<BalancerOptions, 'deployment' | 'deploymentHook'> {
  readonly balancer: Balancer;
  readonly task: FargateTaskDefinition;
  readonly securityGroup: SecurityGroup;
  readonly port: number;
  readonly route: Route;
  readonly ready: Ready;
  readonly deregistrationDelay: Duration;
  readonly tasks: TaskRange;
  /** What scaling keeps a task at, if all requests reach one target group. */
  readonly requestsPerSecond: number;
}

const MINUTE = Duration.minutes(1);
const CPU_PERCENT = 50;

export class WebService extends Construct {
  readonly service: FargateService;
  /** One, or two of which either may be the one with the tasks. */
  readonly targetGroups: ApplicationTargetGroup[];

  constructor(scope: Construct, id: string, cluster: Cluster, network: Network, parts: WebParts) {
    super(scope, id);
    const shifts = shiftsRequests(parts.deployment);
    this.service = new FargateService(this, 'Service', {
      ...serviceBasics(network),
      cluster,
      taskDefinition: parts.task,
      // Else no desiredCount: each deployment would undo what the scaling has set.
      ...(parts.tasks.minTasks === 0 ? { desiredCount: 0 } : {}),
      healthCheckGracePeriod: Duration.seconds(60),
      securityGroups: [parts.securityGroup],
      // ECS itself; CodeDeploy would be another one.
      deploymentController: { type: DeploymentControllerType.ECS },
      ...rollouts[parts.deployment],
    });
    const ids = shifts ? ['Tasks', 'NewTasks'] : ['Tasks'];
    this.targetGroups = ids.map(name => this.#targetGroup(name, network, parts));
    const [tasks, newTasks] = this.targetGroups;
    const rules = parts.balancer.route(this, parts.route, this.targetGroups);
    tasks!.addTarget(
      this.service.loadBalancerTarget({
        containerName: CONTAINER,
        containerPort: parts.port,
        ...(newTasks
          ? {
              alternateTarget: new AlternateTarget('Shift', {
                alternateTargetGroup: newTasks,
                productionListener: ListenerRuleConfiguration.applicationListenerRule(rules.production),
                testListener: ListenerRuleConfiguration.applicationListenerRule(rules.test!),
                role: this.#shiftRole(),
              }),
            }
          : {}),
      }),
    );
    if (parts.deploymentHook) this.#ask(parts.deploymentHook);
    this.#scale(parts, shifts);
  }

  /** Percent of the requests to the tasks of a target group that they answered with 5xx. */
  errorPercents(): MathExpression[] {
    const sum = { statistic: Stats.SUM, period: MINUTE };
    return this.targetGroups.map(
      ({ metrics }) =>
        new MathExpression({
          expression: '100 * FILL(errors, 0) / requests',
          usingMetrics: {
            errors: metrics.httpCodeTarget(HttpCodeTarget.TARGET_5XX_COUNT, sum),
            requests: metrics.requestCount(sum),
          },
          period: MINUTE,
        }),
    );
  }

  /** What 99 % of the answers of a target group took at most, seconds. */
  slowest(): Metric[] {
    return this.targetGroups.map(({ metrics }) =>
      metrics.targetResponseTime({ statistic: Stats.p(99), period: MINUTE }),
    );
  }

  healthyTasks(): Metric | MathExpression {
    const counts = this.targetGroups.map(({ metrics }) =>
      metrics.healthyHostCount({ statistic: Stats.MAXIMUM, period: MINUTE }),
    );
    const [tasks, newTasks] = counts;
    if (!newTasks) return tasks!;
    return new MathExpression({
      expression: 'FILL(tasks, 0) + FILL(newTasks, 0)',
      usingMetrics: { tasks: tasks!, newTasks },
      period: MINUTE,
    });
  }

  #targetGroup(id: string, { vpc }: Network, { port, ready, deregistrationDelay }: WebParts) {
    return new ApplicationTargetGroup(this, id, {
      vpc,
      targetType: TargetType.IP,
      protocol: ApplicationProtocol.HTTP,
      port,
      deregistrationDelay,
      // A stream of updates may take minutes, a read milliseconds.
      loadBalancingAlgorithmType: TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS,
      healthCheck: {
        ...ready,
        interval: Duration.seconds(10),
        timeout: Duration.seconds(5),
        healthyThresholdCount: 2,
        // ECS replaces what is unhealthy here. A failover of Redis takes less than this minute, and needs no new tasks.
        unhealthyThresholdCount: 6,
      },
    });
  }

  /** As whom ECS changes the weights. */
  #shiftRole(): Role {
    const role = new Role(this, 'ShiftRole', {
      assumedBy: new ServicePrincipal('ecs.amazonaws.com'),
      managedPolicies: [
        ManagedPolicy.fromAwsManagedPolicyName('AmazonECSInfrastructureRolePolicyForLoadBalancers'),
      ],
    });
    Validations.of(role).acknowledge({
      id: 'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/AmazonECSInfrastructureRolePolicyForLoadBalancers]',
      reason:
        'ECS wants this policy for shifting requests, and it changes with ECS; a copy would break with the next stage that it adds.',
    });
    return role;
  }

  /** Lets a function of the operator refuse a new version, which answers the test listener by then, and nobody else. */
  #ask(functionArn: string): void {
    const hook = LambdaFunction.fromFunctionAttributes(this, 'Hook', { functionArn, sameEnvironment: true });
    // Without a role of ours, ECS could call every version and alias of the function.
    const role = new Role(this, 'HookRole', { assumedBy: new ServicePrincipal('ecs.amazonaws.com') });
    role.addToPolicy(new PolicyStatement({ actions: ['lambda:InvokeFunction'], resources: [functionArn] }));
    const lifecycleStages = [DeploymentLifecycleStage.POST_TEST_TRAFFIC_SHIFT];
    this.service.addLifecycleHook(
      new DeploymentLifecycleLambdaTarget(hook, 'Hook', { lifecycleStages, role }),
    );
  }

  #scale({ tasks: { minTasks, maxTasks }, requestsPerSecond }: WebParts, shifts: boolean): void {
    const tasks = this.service.autoScaleTaskCount({ minCapacity: minTasks, maxCapacity: maxTasks });
    const cooldowns = { scaleOutCooldown: Duration.minutes(1), scaleInCooldown: Duration.minutes(5) };
    // Which of two groups has the tasks changes with each deployment, and a policy can count the requests of one only.
    if (!shifts)
      tasks.scaleOnRequestCount('Requests', {
        // The balancer counts them by the minute.
        requestsPerTarget: requestsPerSecond * 60,
        targetGroup: this.targetGroups[0]!,
        ...cooldowns,
      });
    tasks.scaleOnCpuUtilization('Cpu', { targetUtilizationPercent: CPU_PERCENT, ...cooldowns });
  }
}
