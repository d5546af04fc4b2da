/**
 * More workers when updates wait long or pile up, fewer when neither. Never by CPU: a worker waits for MySQL most of the time.
 * Missing figures change nothing, in neither direction.
 */
import { Duration } from 'aws-cdk-lib';
import {
  AdjustmentType,
  ScalableTarget,
  ServiceNamespace,
  StepScalingAction,
} from 'aws-cdk-lib/aws-applicationautoscaling';
import { Alarm, ComparisonOperator, type IMetric, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { ApplicationScalingAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { FargateService } from 'aws-cdk-lib/aws-ecs';
import { Construct } from 'constructs';
import type { Figures } from './figures.ts';
import type { Options } from './options.ts';

/** A healthy lag is some tenths of a second. */
const LAG_SECONDS = 5;
const LAG_FAR_SECONDS = 30;
/** What a worker flushes in some seconds. */
const BACKLOG = 200_000;

interface Rule {
  readonly description: string;
  readonly metric: IMetric;
  readonly threshold: number;
  readonly minutes: number;
  readonly outOf: number;
  readonly cooldown: Duration;
  /** Workers more, or fewer; the second where the threshold is exceeded by so much. */
  readonly change: number;
  readonly farther?: { readonly by: number; readonly change: number };
}

export class Scaling extends Construct {
  readonly #target: ScalableTarget;

  constructor(scope: Construct, id: string, service: FargateService, figures: Figures, options: Options) {
    super(scope, id);
    this.#target = new ScalableTarget(this, 'Target', {
      serviceNamespace: ServiceNamespace.ECS,
      resourceId: `service/${service.cluster.clusterName}/${service.serviceName}`,
      scalableDimension: 'ecs:service:DesiredCount',
      minCapacity: options.minWorkers,
      maxCapacity: options.maxWorkers,
    });
    const soon = Duration.minutes(2);
    this.#rule('LagOut', {
      description: 'Updates wait too long for MySQL: more workers',
      metric: figures.lagUnlessAway(),
      threshold: LAG_SECONDS,
      minutes: 2,
      outOf: 3,
      cooldown: soon,
      change: 1,
      farther: { by: LAG_FAR_SECONDS - LAG_SECONDS, change: 2 },
    });
    this.#rule('BacklogOut', {
      description: 'Each worker has much before it: more workers',
      metric: figures.backlogPerWorker(),
      threshold: BACKLOG,
      minutes: 2,
      outOf: 3,
      cooldown: soon,
      change: 1,
      farther: { by: BACKLOG * 4, change: 2 },
    });
    this.#rule('IdleIn', {
      description: 'Neither lag nor backlog for a quarter of an hour: one worker less',
      metric: figures.idle(1, BACKLOG / 10),
      threshold: 1,
      minutes: 15,
      outOf: 15,
      cooldown: Duration.minutes(15),
      change: -1,
    });
  }

  #rule(id: string, rule: Rule): void {
    const action = new StepScalingAction(this, `${id}Action`, {
      scalingTarget: this.#target,
      adjustmentType: AdjustmentType.CHANGE_IN_CAPACITY,
      cooldown: rule.cooldown,
    });
    const { farther } = rule;
    action.addAdjustment({
      adjustment: rule.change,
      lowerBound: 0,
      ...(farther ? { upperBound: farther.by } : {}),
    });
    if (farther) action.addAdjustment({ adjustment: farther.change, lowerBound: farther.by });
    const alarm = new Alarm(this, id, {
      alarmDescription: rule.description,
      metric: rule.metric,
      threshold: rule.threshold,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      evaluationPeriods: rule.outOf,
      datapointsToAlarm: rule.minutes,
      treatMissingData: TreatMissingData.NOT_BREACHING,
    });
    alarm.addAlarmAction(new ApplicationScalingAction(action));
  }
}
