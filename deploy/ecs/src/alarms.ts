/** Alarms for the operator. docs/operating.md says what to do about each. */
import { Duration, Stack } from 'aws-cdk-lib';
import {
  Alarm,
  ComparisonOperator,
  type IMetric,
  MathExpression,
  Metric,
  Stats,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Key } from 'aws-cdk-lib/aws-kms';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { Construct } from 'constructs';
import type { Balancer } from './balancer.ts';
import type { Figures } from './figures.ts';
import type { Options } from './options.ts';
import type { Redis } from './redis.ts';
import type { WebService } from './web-service.ts';

interface Rule {
  readonly description: string;
  readonly metric: IMetric;
  readonly threshold: number;
  readonly below?: boolean;
  readonly minutes?: number;
  readonly missing?: TreatMissingData;
}

export class Alarms extends Construct {
  readonly topic: Topic;
  /** The alarm that rolls a deployment back. */
  readonly flushLag: Alarm;

  constructor(scope: Construct, id: string, figures: Figures, redis: Redis, options: Options) {
    super(scope, id);
    this.topic = this.#openTopic(options);
    this.flushLag = this.#alarm('FlushLag', {
      description: 'For five minutes, the oldest update has waited for MySQL for more than half a minute',
      metric: figures.lag(),
      threshold: 30,
    });
    this.#alarm('Quarantined', {
      description: 'MySQL refused updates, which wait in quarantine: sluice failed list',
      metric: figures.quarantined(),
      threshold: 1,
      minutes: 1,
    });
    this.#alarm('TableHeld', {
      description:
        'A mapped table could not be written for five minutes, and its updates wait for it: sluice status',
      metric: figures.held(),
      threshold: 1,
    });
    this.#alarm('TransfersOld', {
      description:
        'For five minutes, points have been in transit between two accounts for more than a minute: sluice transfers list',
      metric: figures.transferAge(),
      threshold: 60,
    });
    this.#alarm('TransfersAside', {
      description:
        'MySQL refuses credits of transfers, which wait for you: sluice transfers list --state aside',
      metric: figures.transfersAside(),
      threshold: 1,
    });
    this.#alarm('HoldsOverdue', {
      description:
        'For five minutes, holds have kept points although their time is over: sluice holds list --expired-for 60',
      metric: figures.holdOverdue(),
      threshold: 60,
    });
    this.#alarm('BackfillStands', {
      description: 'A backfill has copied no row for ten minutes: sluice status',
      metric: figures.backfillProgressAge(),
      threshold: 600,
      // Its figures end with the last backfill.
      missing: TreatMissingData.NOT_BREACHING,
    });
    this.#alarm('RanksInexact', {
      description:
        'For a quarter of an hour, answers about ranks have said that they are not exact: sluice status',
      metric: figures.ranksInexact(),
      threshold: 1,
      minutes: 15,
    });
    this.#alarm('MysqlAway', {
      description:
        'A worker has left MySQL alone for five minutes, because it does not answer or takes no writes',
      metric: figures.breaker(),
      threshold: 1,
    });
    this.#alarm('NoWorkers', {
      description: 'No worker runs: updates are accepted and wait in Redis',
      metric: figures.workerLines(),
      threshold: 1,
      below: true,
      minutes: 3,
      missing: TreatMissingData.BREACHING,
    });
    this.#alarm('LagUnknown', {
      description: 'No worker could ask Redis for the lag: Redis is away, or there is no worker',
      metric: figures.lagLines(),
      threshold: 1,
      below: true,
      missing: TreatMissingData.BREACHING,
    });
    this.#alarm('RedisCpu', {
      description: 'The one core that Redis uses is busy: take a larger node, or a Cluster',
      metric: largest(redis, 'EngineCPUUtilization'),
      threshold: 70,
    });
    this.#alarm('RedisMemory', {
      description: 'Redis is filling up; updates are refused from 90 % of maxmemory on',
      metric: largest(redis, 'DatabaseMemoryUsagePercentage'),
      threshold: 80,
    });
    this.#alarm('RedisConnections', {
      description: 'Many connections to Redis: look for a service that opens one for each request',
      metric: largest(redis, 'CurrConnections'),
      threshold: 5000,
    });
  }

  watchBalancer(balancer: Balancer): Alarm {
    return this.#alarm('BalancerErrors', {
      description:
        'For five minutes, the balancer has found no task, or none that answered, for one request in a hundred',
      metric: balancer.errorPercent(),
      threshold: 1,
    });
  }

  /**
   * @param slowSeconds from which on answers are too slow; left out if callers may ask for slow ones
   * @returns the alarms that roll a deployment back. Each target group has its own: the errors of a new version must not
   * disappear among the answers of the old one, which has nine times its requests
   */
  watch(name: string, what: string, web: WebService, slowSeconds?: number): Alarm[] {
    this.#alarm(`${name}NoTasks`, {
      description: `No task of ${what} is ready: each request is refused`,
      metric: web.healthyTasks(),
      threshold: 1,
      below: true,
      minutes: 3,
      missing: TreatMissingData.BREACHING,
    });
    const nameOf = (kind: string, index: number) => `${name}${kind}${index === 0 ? '' : 'New'}`;
    const errors = web.errorPercents().map((metric, index) =>
      this.#alarm(nameOf('Errors', index), {
        description: `For five minutes, tasks of ${what} have answered one request in a hundred with 5xx`,
        metric,
        threshold: 1,
      }),
    );
    if (slowSeconds === undefined) return errors;
    const slow = web.slowest().map((metric, index) =>
      this.#alarm(nameOf('Slow', index), {
        description: `For five minutes, tasks of ${what} have taken over ${slowSeconds} s for one answer in a hundred`,
        metric,
        threshold: slowSeconds,
      }),
    );
    return [...errors, ...slow];
  }

  /** A full cache is as it should be: it evicts. */
  watchCache(cache: Redis): void {
    this.#alarm('CacheCpu', {
      description: "The one core that the cache's Redis uses is busy: take a larger node",
      metric: largest(cache, 'EngineCPUUtilization'),
      threshold: 70,
    });
    this.#alarm('CacheConnections', {
      description:
        "Many connections to the cache's Redis: look for a service that opens one for each request",
      metric: largest(cache, 'CurrConnections'),
      threshold: 5000,
    });
  }

  #openTopic({ alarmEmail }: Options): Topic {
    // CloudWatch may not use the key that AWS manages for SNS.
    const masterKey = new Key(this, 'Key', { enableKeyRotation: true, description: 'Sluice: alarms' });
    masterKey.grantEncryptDecrypt(new ServicePrincipal('cloudwatch.amazonaws.com'));
    const topic = new Topic(this, 'Topic', { masterKey, enforceSSL: true });
    // The policy for TLS takes the place of the one by which alarms of the same account may publish.
    topic.addToResourcePolicy(
      new PolicyStatement({
        actions: ['sns:Publish'],
        principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
        resources: [topic.topicArn],
        conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(this).account } },
      }),
    );
    if (alarmEmail) topic.addSubscription(new EmailSubscription(alarmEmail));
    return topic;
  }

  #alarm(id: string, rule: Rule): Alarm {
    const minutes = rule.minutes ?? 5;
    const alarm = new Alarm(this, id, {
      alarmName: `${Stack.of(this).stackName}-${id}`,
      alarmDescription: rule.description,
      metric: rule.metric,
      threshold: rule.threshold,
      comparisonOperator: rule.below
        ? ComparisonOperator.LESS_THAN_THRESHOLD
        : ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      evaluationPeriods: minutes,
      treatMissingData: rule.missing ?? TreatMissingData.MISSING,
    });
    const action = new SnsAction(this.topic);
    alarm.addAlarmAction(action);
    alarm.addOkAction(action);
    return alarm;
  }
}

/** The maximum over all nodes, since a failover changes the primary. */
function largest(redis: Redis, metricName: string): MathExpression {
  const period = Duration.minutes(1);
  const metric = (CacheClusterId: string) =>
    new Metric({
      namespace: 'AWS/ElastiCache',
      metricName,
      dimensionsMap: { CacheClusterId },
      statistic: Stats.MAXIMUM,
      period,
    });
  const usingMetrics = Object.fromEntries(redis.nodes.map((node, index) => [`node${index}`, metric(node)]));
  return new MathExpression({ expression: 'MAX(METRICS())', usingMetrics, period });
}
