/** `sluice status`: shows what each partition holds, the flush jobs, the quarantine, and what waits, is built or copied. */
import { shownSpec } from '../backfill/spec.ts';
import { type Definitions, definitionOf } from '../shared/config/definitions.ts';
import { shownTarget } from '../shared/config/target.ts';
import { kindOfRow, type RowKind, SHOWN_KINDS, type ShownKind } from '../shared/item.ts';
import { queryRow, type Rows } from '../shared/mysql/database.ts';
import type { Condition } from '../shared/mysql/writable.ts';
import { type LossKind, readLosses } from '../shared/partition/losses.ts';
import { RankReader, rankedNames } from '../shared/ranks/reader.ts';
import type { PartitionStatus } from '../shared/redis/inspect.ts';
import { HELD_BY_NAME } from '../shared/updates/failed-update.ts';
import { readUnfinishedBackfills, type UnfinishedBackfill } from '../shared/updates/unfinished-backfills.ts';
import { readWaitingTransfers, type WaitingTransfers } from '../shared/updates/waiting-transfers.ts';
import { type Connections, withConnections } from './connections.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { table } from './table.ts';
import { timeLeft } from './time-left.ts';

export interface Status {
  readonly partitions: readonly Pick<
    PartitionStatus,
    'partition' | 'pendingUpdates' | 'pendingKeys' | 'inFlight' | 'lagSeconds' | 'sequence'
  >[];
  readonly queue: {
    readonly waiting: number;
    readonly active: number;
    readonly delayed: number;
    readonly failed: number;
  };
  /** Updates in quarantine because MySQL refused them. */
  readonly quarantined: number;
  /** Rows that wait because their mapped table cannot be written; workers write them once it can. */
  readonly held: readonly {
    readonly kind: ShownKind;
    readonly name: string;
    /** The mapped table in the definitions; null if they map none to the name. */
    readonly table: string | null;
    readonly rows: number;
    /** Error code of the database. */
    readonly code: string;
  }[];
  /** Transfers that wait for their credit, by program; only programs that have any. */
  readonly transfers: readonly WaitingTransfers[];
  /** Ranks whose answers are not exact now; workers build or correct them. */
  readonly ranks: readonly {
    readonly kind: ShownKind;
    readonly name: string;
    /** How many partitions are being built or corrected. */
    readonly inexactPartitions: number;
  }[];
  /** Backfills that are not finished, the newest ones. */
  readonly backfills: readonly UnfinishedBackfill[];
  /** Whether the database takes writes, and why it may not. */
  readonly database: Condition;
  /** Updates declared in total, at most: lost with Redis, or counted twice since it forgot their claim. */
  readonly declared: { readonly lost: number; readonly doubled: number };
}

function toHeld(row: Rows[number], definitions: Definitions): Status['held'][number] {
  const kind = kindOfRow(row.kind as RowKind);
  const name = String(row.name);
  const target = definitionOf(kind, name, definitions)?.target;
  return {
    kind: SHOWN_KINDS[kind],
    name,
    table: target ? shownTarget(target) : null,
    rows: Number(row.held),
    code: String(row.code),
  };
}

async function inexactRanks({ redis, keys, definitions }: Connections): Promise<Status['ranks']> {
  const reader = new RankReader(redis, keys, call => call());
  const all = rankedNames(definitions).map(async board => ({
    kind: SHOWN_KINDS[board.kind],
    name: board.name,
    inexactPartitions: await reader.inexactPartitions(board),
  }));
  return (await Promise.all(all)).filter(({ inexactPartitions }) => inexactPartitions > 0);
}

export async function runStatus(options: { json?: boolean }): Promise<ExitCode> {
  const look = async (open: Connections): Promise<Status> => {
    const { inspector, queue, database, condition, definitions } = open;
    const partitions = await inspector.all();
    const counts = await queue.getJobCounts('waiting', 'active', 'delayed', 'failed');
    const quarantined = await database.session(connection =>
      queryRow(connection, "SELECT COUNT(*) AS waiting FROM sluice_quarantine WHERE cause = 'refused'"),
    );
    const held = await database.query(HELD_BY_NAME);
    const losses = await readLosses(database);
    const declared = (kind: LossKind) =>
      losses.filter(loss => loss.kind === kind).reduce((sum, { updates }) => sum + updates, 0);
    return {
      partitions: partitions.map(
        ({ partition, pendingUpdates, pendingKeys, inFlight, lagSeconds, sequence }) => ({
          partition,
          pendingUpdates,
          pendingKeys,
          inFlight,
          lagSeconds,
          sequence,
        }),
      ),
      queue: {
        waiting: counts.waiting ?? 0,
        active: counts.active ?? 0,
        delayed: counts.delayed ?? 0,
        failed: counts.failed ?? 0,
      },
      quarantined: Number(quarantined.waiting),
      held: held.map(row => toHeld(row, definitions)),
      transfers: await database.session(readWaitingTransfers),
      ranks: await inexactRanks(open),
      backfills: await database.session(readUnfinishedBackfills),
      database: condition!,
      declared: { lost: declared('lost'), doubled: declared('doubled') },
    };
  };
  const status = await withConnections(look, { looks: true });
  console.log(options.json ? JSON.stringify(status) : print(status));
  return EXIT.ok;
}

function print(status: Status): string {
  const { partitions, queue, quarantined, held, transfers, ranks, backfills, declared } = status;
  const lag = Math.max(...partitions.map(({ lagSeconds }) => lagSeconds));
  const rows = partitions.map(p => [
    p.partition,
    p.pendingUpdates,
    p.pendingKeys,
    p.inFlight,
    p.lagSeconds.toFixed(3),
    p.sequence,
  ]);
  const jobs = Object.entries(queue).map(([state, count]) => `${count} ${state}`);
  return [
    table(['partition', 'pending updates', 'pending keys', 'in flight', 'lag, s', 'sequence'], rows),
    `flush jobs: ${jobs.join(', ')}`,
    `in quarantine: ${quarantined}`,
    ...held.map(
      ({ kind, name, table, rows, code }) =>
        `held: ${rows} rows of ${kind} ${name}, since table ${table ?? '(not in the definitions)'} cannot be written (${code}); workers write them once it can`,
    ),
    ...transfers.flatMap(printTransfers),
    ...ranks.map(
      ({ kind, name, inexactPartitions }) =>
        `ranks of ${kind} ${name} are not exact now: workers build or correct ${inexactPartitions} of ${partitions.length} partitions`,
    ),
    ...backfills.map(run => printBackfill(run, lag)),
    `declared in total, at most: ${declared.lost} updates lost, ${declared.doubled} doubled`,
  ].join('\n');
}

function printTransfers({ program, ...waiting }: WaitingTransfers): string[] {
  const { inTransit, oldestSeconds, aside, oldestAsideSeconds } = waiting;
  const lines: string[] = [];
  if (inTransit > 0)
    lines.push(
      `transfers of ${program} in transit: ${inTransit}, the oldest for ${oldestSeconds.toFixed(1)} s; workers drive them`,
    );
  if (aside > 0)
    lines.push(
      `transfers of ${program} aside: ${aside}, the oldest for ${oldestAsideSeconds.toFixed(1)} s; look at them with: sluice transfers list --state aside`,
    );
  return lines;
}

/** @param lag of the partition whose flush is furthest behind, seconds */
function printBackfill(backfill: UnfinishedBackfill, lag: number): string {
  const { run, rows, passed, isCarriedOut, page, progressSeconds, tookSeconds } = backfill;
  const begin = `backfill ${run} of ${shownSpec(backfill)}: ${passed} of ${rows} rows`;
  const progress = `the last ones ${progressSeconds.toFixed(1)} s ago`;
  if (!isCarriedOut) {
    const wait = page === 'none' ? '' : ', in the middle of a page';
    return `${begin}, ${progress}; no process carries it out${wait}: start it again with the same options`;
  }
  const doing = {
    none: `it reads the next page, or waits for its --rate, or for the flush, which is ${lag.toFixed(1)} s behind`,
    sending: 'it sends a page to Redis',
    accepted: `its page waits for the flush, which is ${lag.toFixed(1)} s behind`,
  }[page];
  return `${begin}, ${progress}, about ${timeLeft(passed, rows - passed, 1000 * tookSeconds)} left; ${doing}`;
}
