/** The figures that workers write among their logs (`SLUICE_EMF`), as metrics of CloudWatch. */
import { Duration } from 'aws-cdk-lib';
import { MathExpression, Metric, Stats } from 'aws-cdk-lib/aws-cloudwatch';

/** Lines of each worker in a minute. */
const LINES = 6;
const MINUTE = Duration.minutes(1);

export class Figures {
  readonly #namespace: string;

  constructor(namespace: string) {
    this.#namespace = namespace;
  }

  /** Age of the oldest update that is not in MySQL, seconds; the maximum, as every worker reports the same. */
  lag(): Metric {
    return this.#figure('FlushLagSeconds', Stats.MAXIMUM);
  }

  pending(): Metric {
    return this.#figure('PendingUpdates', Stats.MAXIMUM);
  }

  quarantined(): Metric {
    return this.#figure('Quarantined', Stats.MAXIMUM);
  }

  /** Rows that wait because their mapped table cannot be written. */
  held(): Metric {
    return this.#figure('Held', Stats.MAXIMUM);
  }

  /** Age of the oldest transfer whose credit is not written, seconds. */
  transferAge(): Metric {
    return this.#figure('TransferAgeSeconds', Stats.MAXIMUM);
  }

  /** Transfers whose credit MySQL refused. */
  transfersAside(): Metric {
    return this.#figure('TransfersAside', Stats.MAXIMUM);
  }

  /** For how long the time of a hold has been over that still keeps points, seconds. */
  holdOverdue(): Metric {
    return this.#figure('HoldOverdueSeconds', Stats.MAXIMUM);
  }

  /** How long ago the backfill that stands longest has passed rows, seconds; missing without a backfill. */
  backfillProgressAge(): Metric {
    return this.#figure('BackfillProgressAgeSeconds', Stats.MAXIMUM);
  }

  /** Partitions in which ranks are being built or corrected. */
  ranksInexact(): Metric {
    return this.#figure('RanksInexact', Stats.MAXIMUM);
  }

  /** 1 while a worker leaves MySQL alone after an outage. */
  breaker(): Metric {
    return this.#figure('BreakerOpen', Stats.MAXIMUM);
  }

  /** Lines that workers wrote: six a minute each. */
  workerLines(): Metric {
    return this.#figure('Workers', Stats.SAMPLE_COUNT);
  }

  /** Lines with a lag; none while Redis does not answer. */
  lagLines(): Metric {
    return this.#figure('FlushLagSeconds', Stats.SAMPLE_COUNT);
  }

  /** The lag, but 0 while MySQL is away: more workers would not help, and would all return at once with it. */
  lagUnlessAway(): MathExpression {
    return this.#math('IF(breaker > 0, 0, lag)', { breaker: this.breaker(), lag: this.lag() });
  }

  backlogPerWorker(): MathExpression {
    return this.#math(`IF(breaker > 0, 0, pending / (lines / ${LINES}))`, {
      breaker: this.breaker(),
      pending: this.pending(),
      lines: this.workerLines(),
    });
  }

  /** 1 while one worker less is enough. If a figure is missing, there is no value, so no worker is removed. */
  idle(lagBelow: number, backlogBelow: number): MathExpression {
    return this.#math(
      `IF(breaker < 1 AND lag < ${lagBelow} AND pending / (lines / ${LINES}) < ${backlogBelow}, 1, 0)`,
      { breaker: this.breaker(), lag: this.lag(), pending: this.pending(), lines: this.workerLines() },
    );
  }

  #figure(metricName: string, statistic: string): Metric {
    const dimensionsMap = { Namespace: this.#namespace };
    return new Metric({ namespace: 'Sluice', metricName, dimensionsMap, statistic, period: MINUTE });
  }

  #math(expression: string, usingMetrics: Record<string, Metric>): MathExpression {
    return new MathExpression({ expression, usingMetrics, period: MINUTE });
  }
}
