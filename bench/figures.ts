// Figures of the project's speed, computed from the measurements of one round, with their targets. A missed
// target is shown as missed; it is not moved.

import type { Figure, Measurement, Round } from './scenario.ts';

const value = (name: string) => (round: Round) => round.get(name)?.value;
const detail = (name: string, key: string) => (round: Round) => round.get(name)?.details[key];

function quotient(of: Figure['of'], to: Figure['of']): Figure['of'] {
  return round => {
    const [upper, lower] = [of(round), to(round)];
    return upper === undefined || lower === undefined ? undefined : upper / lower;
  };
}

/** Undefined unless all peers were measured, since the better of some need not be the best. */
function best(...names: string[]): Figure['of'] {
  return round => {
    const values = names.map(name => round.get(name)?.value);
    return values.includes(undefined) ? undefined : Math.max(...(values as number[]));
  };
}

const peers = ['upsert-per-update', 'bullmq-jobs', 'bullmq-bulk'];
const engine = ['counters', 'live', 'uniform', 'flush', 'single-calls', 'steady', 'api-loop', 'points'];

function overEngine(key: string, join: (values: number[]) => number): Figure['of'] {
  return round => {
    const measured = engine.flatMap(name => (round.get(name) as Measurement | undefined)?.details[key] ?? []);
    return measured.length === 0 ? undefined : join(measured);
  };
}

const coresOf = ['producerCores', 'workerCores', 'redisCores', 'mysqlCores'];

const sum = (values: number[]) => values.reduce((total, one) => total + one, 0);

export const mainFigures: readonly Figure[] = [
  {
    name: 'counters',
    title: 'Zipf(1.0) over 100,000 keys, end to end',
    unit: 'updates/s',
    target: { atLeast: 200_000 },
    of: value('counters'),
  },
  {
    name: 'counters-against-peers',
    title: 'the same against the better of peers 1 and 2',
    unit: 'times',
    target: { atLeast: 25 },
    of: quotient(value('counters'), best(...peers)),
  },
  {
    name: 'live-against-counters',
    title: '`live` against `counters`',
    unit: 'times',
    target: { atLeast: 0.85 },
    of: quotient(value('live'), value('counters')),
  },
  {
    name: 'uniform-against-bare',
    title: '1,000,000 uniform keys: rows against the bare upsert',
    unit: 'times',
    target: { atLeast: 0.65 },
    of: quotient(detail('uniform', 'rowsPerSecond'), value('uniform-upsert')),
  },
  {
    name: 'single-calls',
    title: 'single increment() calls of one process',
    unit: 'calls/s',
    target: { atLeast: 130_000 },
    of: value('single-calls'),
  },
  {
    name: 'call-p50',
    title: 'call latency p50 at 30,000 a second',
    unit: 'ms',
    target: { atMost: 1.6 },
    of: detail('steady', 'callP50Ms'),
  },
  {
    name: 'call-p99',
    title: 'call latency p99 at 30,000 a second',
    unit: 'ms',
    target: { atMost: 5 },
    of: value('steady'),
  },
  {
    name: 'call-p99-against-hincrby',
    title: 'the same against pipelined HINCRBY, with the same rows for MySQL beside it',
    unit: 'times',
    target: { atMost: 2 },
    of: quotient(value('steady'), value('steady-hincrby')),
  },
  {
    name: 'steady-cores',
    title: 'busy cores of producer, worker, Redis and MySQL at 30,000 calls a second',
    unit: 'cores',
    target: { atMost: 0.8 },
    of: round => {
      const details = round.get('steady')?.details;
      return details && sum(coresOf.map(name => details[name] ?? 0));
    },
  },
  {
    name: 'points',
    title: 'points entries, end to end',
    unit: 'entries/s',
    target: { atLeast: 40_000 },
    of: value('points'),
  },
  {
    name: 'points-against-bare',
    title: 'points entries against bare inserts of them',
    unit: 'times',
    target: { atLeast: 0.7 },
    of: quotient(value('points'), value('ledger-insert')),
  },
  {
    name: 'flush-lag-p99',
    title: 'flush lag p99 at 30,000 updates a second',
    unit: 'ms',
    target: { atMost: 300 },
    of: detail('steady', 'flushLagP99Ms'),
  },
  {
    name: 'flush-against-bare',
    title: 'flush: rows against the bare upsert',
    unit: 'times',
    target: { atLeast: 0.85 },
    of: quotient(value('flush'), value('flush-upsert')),
  },
  {
    name: 'redis-cpu',
    title: "Redis' CPU for an update against pipelined HINCRBY",
    unit: 'times',
    target: { atMost: 3 },
    of: quotient(detail('counters', 'redisCpuMicrosPerUpdate'), detail('hincrby', 'redisCpuMicrosPerUpdate')),
  },
  {
    name: 'pending-key',
    title: "Redis' memory for a pending counter key",
    unit: 'bytes',
    target: { atMost: 110 },
    of: detail('pending-memory', 'keyBytes'),
  },
  {
    name: 'pending-entry',
    title: "Redis' memory for a pending entry",
    unit: 'bytes',
    target: { atMost: 300 },
    of: detail('pending-memory', 'entryBytes'),
  },
  {
    name: 'loop-delay-p99',
    title: 'event-loop delay p99 at 10,000 calls a second',
    unit: 'ms',
    target: { atMost: 5 },
    of: value('api-loop'),
  },
  {
    name: 'longest-script',
    title: 'the longest script by itself',
    unit: 'ms',
    target: { atMost: 2 },
    of: value('scripts'),
  },
  {
    name: 'rank-p99',
    title: 'p99 of `rank` among 1,000,000 members in 16 partitions',
    unit: 'ms',
    target: { atMost: 3 },
    of: value('ranks'),
  },
  {
    name: 'top-p99',
    title: 'p99 of `top(100)` there',
    unit: 'ms',
    target: { atMost: 5 },
    of: detail('ranks', 'topMs'),
  },
  {
    name: 'rank-cost',
    title: 'what the score of an update costs Redis, 62,500 members a partition',
    unit: 'µs',
    target: { atMost: 3.5 },
    of: detail('ranks', 'rankMicros'),
  },
  {
    name: 'rank-cost-against-bare',
    title: 'the same against a bare ZINCRBY in a script',
    unit: 'times',
    target: { atMost: 1.3 },
    of: quotient(detail('ranks', 'rankMicros'), detail('ranks', 'zincrbyMicros')),
  },
  {
    name: 'slow-scripts',
    title: 'scripts of more than 2 ms, in all measurements of a round',
    unit: 'scripts',
    target: { atMost: 0 },
    of: overEngine('slowScripts', sum),
  },
  {
    name: 'slowest-script',
    title: 'the longest of them (0 where there is none)',
    unit: 'ms',
    of: overEngine('slowestScriptMs', values => Math.max(...values)),
  },
  ...[...peers, 'redis-list', 'process-buffer'].map(name => ({
    name: `counters-against-${name}`,
    title: `counters against \`${name}\``,
    unit: 'times',
    ...(name === 'process-buffer' ? { target: { atLeast: 1.1 } } : {}),
    of: quotient(value('counters'), value(name)),
  })),
  {
    name: 'live-against-readable-buffer',
    title: '`live` against `readable-buffer`',
    unit: 'times',
    of: quotient(value('live'), value('readable-buffer')),
  },
  {
    name: 'counters-against-bare',
    title: 'counters: updates against those of bare upserts',
    unit: 'times',
    of: quotient(value('counters'), detail('bulk-upsert', 'updatesPerSecond')),
  },
];

export const backlogFigures: readonly Figure[] = [
  {
    name: 'backlog-seconds',
    title: 'backlog drained, from the start of the worker process',
    unit: 's',
    target: { atMost: 30 },
    of: value('backlog'),
  },
  {
    name: 'backlog-worker-peak',
    title: "the worker's peak of resident memory",
    unit: 'MB',
    target: { atMost: 300 },
    of: detail('backlog', 'workerPeakMb'),
  },
];

const grown = (name: string, title: string): Figure => ({
  name: `${name}-growth`,
  title: `${title}: last quarter against the first`,
  unit: 'times',
  target: { atMost: 1.1 },
  of: quotient(detail('soak', `${name}LastMb`), detail('soak', `${name}FirstMb`)),
});

export const soakFigures: readonly Figure[] = [
  grown('producer', "the producer's memory"),
  grown('worker', "the worker's memory"),
  grown('redis', "Redis' used memory"),
  {
    name: 'soak-call-p99',
    title: 'call latency p99 over the whole run',
    unit: 'ms',
    target: { atMost: 5 },
    of: detail('soak', 'callP99Ms'),
  },
  {
    name: 'soak-lag-p99',
    title: 'flush lag p99 over the whole run',
    unit: 'ms',
    target: { atMost: 300 },
    of: detail('soak', 'flushLagP99Ms'),
  },
];

export const transferFigures: readonly Figure[] = [
  {
    name: 'transfers-against-points',
    title: 'transfers, each of two entries, against entries',
    unit: 'times',
    target: { atLeast: 0.33 },
    of: quotient(value('transfers'), value('points')),
  },
];

export const holdFigures: readonly Figure[] = [
  {
    name: 'holds-against-points',
    title: 'holds and their posts against entries',
    unit: 'times',
    target: { atLeast: 0.33 },
    of: quotient(value('holds'), value('points')),
  },
];

export const valueFigures: readonly Figure[] = [
  {
    name: 'values-max-against-counters',
    title: 'puts of which the greatest is kept, against increments',
    unit: 'times',
    target: { atLeast: 0.5 },
    of: quotient(value('values-max'), value('counters')),
  },
  {
    name: 'values-last-against-counters',
    title: 'puts of which the last is kept, against increments',
    unit: 'times',
    target: { atLeast: 0.5 },
    of: quotient(value('values-last'), value('counters')),
  },
  {
    name: 'values-max-against-upserts',
    title: 'puts of which the greatest is kept, against one upsert for each update',
    unit: 'times',
    target: { atLeast: 5 },
    of: quotient(value('values-max'), value('upsert-per-update')),
  },
];

export const httpFigures: readonly Figure[] = [
  {
    name: 'http-single-against-bare',
    title: 'one update a request against a bare fastify route',
    unit: 'times',
    target: { atLeast: 0.7 },
    of: quotient(value('http-single'), value('bare-route')),
  },
  {
    name: 'http-arrays-against-process',
    title: 'arrays of 1,000 against sluice.apply in process',
    unit: 'times',
    target: { atLeast: 0.6 },
    of: quotient(value('http-arrays'), value('in-process')),
  },
  {
    name: 'http-lines-against-process',
    title: 'NDJSON against sluice.apply in process',
    unit: 'times',
    target: { atLeast: 0.6 },
    of: quotient(value('http-lines'), value('in-process')),
  },
  {
    name: 'http-half-rate-p99',
    title: 'p99 of a request at half of the highest rate',
    unit: 'ms',
    of: value('http-half-rate'),
  },
];
