/** Prints the plan of `sluice plan`: each figure with its reason. */
import { EXIT, type ExitCode } from './exit.ts';
import { type Load, parseLoad } from './plan-load.ts';
import { measured } from './plan-measured.ts';
import { type Plan, planFor } from './plan-model.ts';
import { bytes, count } from './plan-numbers.ts';
import { warningsOf } from './plan-warnings.ts';
import { table } from './table.ts';

/** @throws ConfigurationError if an option is wrong */
export function runPlan({
  json,
  ...options
}: Record<string, string | undefined> & { json?: never }): ExitCode {
  const plan = planFor(parseLoad(options));
  console.log(json ? JSON.stringify({ ...plan, warnings: warningsOf(plan) }) : planText(plan));
  return EXIT.ok;
}

export function planText(plan: Plan): string {
  const warnings = warningsOf(plan).map(({ code, message }) => `${code}: ${message}`);
  const rows = [...redisRows(plan), ...mysqlRows(plan), ...ownRows(plan)];
  return [table(['what', 'needed', 'because of'], rows), ...warnings].join('\n');
}

type Row = readonly [what: string, needed: string, because: string];

const percent = (fraction: number) => `${count(fraction * 100)} %`;

/** The text for each kind of update in the load. */
function of({ updates, entries }: Load, ofUpdates: string, ofEntries: string): string {
  return [updates > 0 && ofUpdates, entries > 0 && ofEntries].filter(Boolean).join(', ');
}

function redisRows({ load, redis, outage, partitions }: Plan): Row[] {
  const { updates, ids, entries, producers, latency, headroom, replicas } = load;
  const summed = updates * (1 - ids);
  const single = updates * ids + entries;
  return [
    [
      'Redis calls',
      `${count(redis.callsPerSecond)}/s`,
      redis.primaries > 1
        ? `${count(producers)} producers, ${partitions} partitions, ${count(latency)} ms a call`
        : `${count(producers)} producers, ${count(latency)} ms a call of up to ${partitions} partitions`,
    ],
    [
      'Redis CPU',
      `${count(redis.cores)} cores`,
      [
        summed > 0 && `${count(summed)} updates at ${measured.redisMicrosPerUpdate.value} µs`,
        single > 0 &&
          `${count(single)} ${ids > 0 ? 'updates with ids or entries' : 'entries'} at ${measured.redisMicrosPerEntry.value} µs`,
        load.members > 0 && `scores at ${measured.redisMicrosPerScore.value} µs`,
        `calls at ${measured.redisMicrosPerCall.value} µs + ${measured.redisMicrosPerMicroBatch.value} a partition`,
        `flush jobs at ${measured.redisMicrosPerJob.value} µs + ${measured.redisMicrosPerFlush.value} a partition`,
      ]
        .filter(Boolean)
        .join(', '),
    ],
    [
      'Redis memory',
      bytes(redis.memory),
      `${of(load, `${count(load.keys)} live values`, `${count(load.accounts)} live balances`)}, ${load.members > 0 ? `${count(load.members)} members of boards, twice during a build, ` : ''}ids, updates pending for two intervals`,
    ],
    [
      'Redis memory, outage',
      bytes(redis.memoryAfterOutage),
      `${count(load.outage)} minutes: ${of(load, `${count(outage.pendingKeys)} pending keys`, `${count(outage.pendingEntries)} pending entries`)}`,
    ],
    [
      'ElastiCache',
      `${redis.nodes} x ${redis.nodeClass}`,
      `primaries: ${redis.primaries}, replicas of each: ${replicas}; CPU to ${percent(1 - headroom)}, memory to 80 % of what is not reserved`,
    ],
  ];
}

function mysqlRows({ load, mysql, partitions, flushIntervalMs }: Plan): Row[] {
  const rows = mysql.counterRowsPerSecond + mysql.balanceRowsPerSecond + load.entries;
  return [
    [
      'MySQL rows',
      `${count(rows)}/s`,
      of(
        load,
        `${count(mysql.counterRowsPerSecond)} counters, ${count(load.updates / mysql.counterRowsPerSecond)} updates each`,
        `${count(load.entries)} entries, ${count(mysql.balanceRowsPerSecond)} balances`,
      ),
    ],
    [
      'MySQL commits',
      `${count(mysql.commitsPerSecond)}/s`,
      `groups of ${partitions} partitions, each once in ${flushIntervalMs} ms if it has updates`,
    ],
    [
      'MySQL CPU',
      `${count(mysql.vcpu)} vCPU`,
      `${of(load, `${measured.mysqlMicrosPerRow.value} µs a counter`, `${measured.mysqlMicrosPerEntry.value} µs an entry`)}, ${measured.mysqlMicrosPerCommit.value} µs a commit`,
    ],
    [
      'RDS',
      mysql.instanceClass ?? 'no class is enough',
      `CPU to ${percent(1 - load.headroom)}, ${bytes(mysql.hotRows)} of rows in the buffer pool`,
    ],
  ];
}

function ownRows({ load, workers, partitions, partitionsNeeded, flushIntervalMs, outage }: Plan): Row[] {
  const { workerRowsPerSecond, workerEntriesPerSecond } = measured;
  const caughtUp = outage.catchUpSeconds;
  return [
    [
      'workers',
      count(workers),
      `${of(load, `${count(workerRowsPerSecond.value)} counter rows`, `${count(workerEntriesPerSecond.value)} entries`)} a second each, to ${percent(1 - load.headroom)} of that; 2 at least`,
    ],
    [
      'partitions',
      count(partitions),
      load.partitions === undefined
        ? `4 for each worker that the load keeps busy, and for each primary: ${partitionsNeeded}; doubled until enough`
        : 'as given',
    ],
    ['flush interval', `${flushIntervalMs} ms`, 'a longer one writes fewer rows, and MySQL lags more'],
    [
      'caught up after outage',
      caughtUp === null ? 'never' : `${count(caughtUp)} s`,
      'the backlog, by the spare capacity of workers and MySQL at the peak',
    ],
  ];
}
