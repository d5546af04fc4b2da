/**
 * Looks for held updates, and releases them as soon as their mapped table takes rows again. Every worker
 * looks, so that updates of a killed worker are released too. A trial of a few rows comes first, in a
 * transaction that is rolled back and holds no lock of Sluice: if somebody alters the table, the trial waits,
 * and no flush does.
 */
import type { PoolConnection } from 'mysql2/promise';
import type { Logger } from 'pino';
import { type Definitions, definitionOf } from '../shared/config/definitions.ts';
import { kindOfRow, ROW_KINDS } from '../shared/item.ts';
import { causeOf, type Database, queryRows, readSql, transactionIn } from '../shared/mysql/database.ts';
import { classifyDatabaseError, isLockWait, isServerError, suspect } from '../shared/mysql/errors.ts';
import { RepeatedLines } from '../shared/repeated.ts';
import { type OpenTables, recordTarget } from '../shared/values/mapping.ts';
import type { ValueTable } from '../shared/values/tables.ts';
import { isTableFailure, type TargetTable } from '../shared/values/target-table.ts';
import { RowFailure } from './blame.ts';
import { type Circuit, isOutage } from './circuit.ts';
import { isRefusal } from './quarantine.ts';
import {
  type HeldGroup,
  HeldRelease,
  type HeldRow,
  PartitionBusy,
  type Released,
  toHeldRow,
} from './release.ts';
import { type Rounds, serverRounds, spread } from './rounds.ts';
import type { TableHealth } from './table-health.ts';

export interface ReleaserParts {
  readonly database: Database;
  readonly tables: OpenTables;
  readonly definitions: Definitions;
  readonly health: TableHealth;
  readonly circuit: Pick<Circuit, 'isOpen'>;
  readonly random: () => number;
  readonly log: Logger;
}

const sql = (name: string) => readSql(new URL(`./sql/${name}.sql`, import.meta.url));
const GROUPS = sql('held-groups');
const SAMPLE = 'SELECT * FROM sluice_quarantine WHERE id IN (?)';
/** How often a worker looks: while it knows of held updates, and otherwise. */
const HOLDING_MS = 1000;
const IDLE_MS = 2000;
/** A flush that meets a failure has held its rows after this time, or another worker has written them. */
const HOLD_WITHIN_MS = 10_000;
/** A flush may wait for what a trial or a release has locked. */
const SHORT_WAIT = { lockWaitSeconds: 1 };
/** Rows of a trial. */
const SAMPLES = 16;

/** Rolls a trial back. */
class Trial extends Error {}

export class Releaser {
  readonly #parts: ReleaserParts;
  readonly #release: HeldRelease;
  readonly #rounds: Rounds;
  /** By group: when all its rows first failed alike, ms of `performance.now()`. */
  readonly #failedSince = new Map<string, number>();
  readonly #released = new Map<ValueTable, number>();
  readonly #recorded = new Set<TargetTable>();
  /** Tables whose held updates the last round saw. */
  readonly #seen = new Set<ValueTable>();
  /** The first round starts at once: another worker may have been killed. */
  #hasLooked = false;

  constructor(parts: ReleaserParts) {
    const { tables, health, random, log } = parts;
    this.#parts = parts;
    this.#release = new HeldRelease(tables);
    const every = () => (this.#hasLooked ? spread(health.mayHold ? HOLDING_MS : IDLE_MS, random) : 0);
    this.#rounds = serverRounds(
      { every, round: () => this.once() },
      {
        log,
        lines: new RepeatedLines(log),
        waits: 'held updates wait for the database',
        failed: 'could not look for held updates, will retry',
      },
    );
  }

  start(): void {
    this.#rounds.start();
  }

  /** Resolves when a running round has ended. */
  stop(): Promise<void> {
    return this.#rounds.stop();
  }

  /** One round over all held updates. */
  async once(): Promise<void> {
    const { database, health, circuit, tables, log } = this.#parts;
    this.#hasLooked = true;
    if (circuit.isOpen) return;
    await this.#record();
    const rows = await database.query(GROUPS);
    const groups: HeldGroup[] = rows.map(row => ({
      partition: Number(row.partition_id),
      kind: row.kind,
      name: String(row.name),
      oldest: Number(row.oldest),
      newest: Number(row.newest),
    }));
    health.mayHold = groups.length > 0 || health.failing.length > 0;
    const byTable = Map.groupBy(groups, ({ kind, name }) => `${kind} ${name}`);
    const alone = (name: string, work: Promise<void>) =>
      work.catch(error => {
        if (isOutage(error)) throw error;
        log.debug({ err: error, name }, 'held updates keep waiting');
      });
    await Promise.all([
      ...tables.targets.map(table => alone(table.name, this.#reportReleased(table, byTable))),
      ...[...byTable.values()].map(some => alone(some[0]!.name, this.#releaseAll(some))),
    ]);
  }

  /**
   * Reports the table if it has no held updates. A flush that has just met a failure may not have held its
   * rows yet.
   */
  async #reportReleased(table: TargetTable, held: ReadonlyMap<string, unknown>): Promise<void> {
    const { health, database } = this.#parts;
    if (held.has(`${ROW_KINDS[table.kind]} ${table.name}`)) {
      this.#seen.add(table);
      return;
    }
    const hasSeen = this.#seen.delete(table);
    if (!hasSeen && health.failedAfter(table, performance.now() - HOLD_WITHIN_MS)) return;
    // Another worker may have found it mended, and written what was held.
    if (health.problem(table) !== undefined) await table.recheck(database);
    if (!table.fits) return;
    health.released(table, this.#released.get(table) ?? 0);
    this.#released.delete(table);
  }

  /** Records each mapping that fits, once. */
  async #record(): Promise<void> {
    for (const table of this.#parts.tables.targets) {
      if (this.#recorded.has(table) || !table.fits) continue;
      await recordTarget(this.#parts.database, table);
      this.#recorded.add(table);
    }
  }

  /** @param groups of one table */
  async #releaseAll(groups: readonly HeldGroup[]): Promise<void> {
    const { definitions, tables, database } = this.#parts;
    const { kind, name } = groups[0]!;
    // Without its definition, the mapping is not known.
    if (!definitionOf(kindOfRow(kind), name, definitions)) return;
    const table = tables.of(kindOfRow(kind), name);
    await table.recheck(database);
    // One session for all partitions: on a busy machine to open one takes longer than to write what is held.
    await database.session(session => this.#releaseIn(session, table, groups), SHORT_WAIT);
  }

  async #releaseIn(session: PoolConnection, table: ValueTable, groups: readonly HeldGroup[]): Promise<void> {
    const problem = await this.#try(session, table, groups);
    if (problem !== undefined && !this.#isWorthTrying(table, groups, problem)) return;
    if (problem === undefined) this.#parts.health.works(table);
    // Each worker in an order of its own: in the same one, each would wait for what another one has just released.
    const left = shuffled(groups, this.#parts.random);
    const busy = new Set<HeldGroup>();
    for (const group of left) {
      if (this.#rounds.stopped) return;
      await this.#releaseGroup(session, table, group).catch(error => {
        if (!(error instanceof PartitionBusy)) throw error;
        // No other partition waits for its lock: it comes once more at the end, and then in the next round.
        if (!busy.has(group)) left.push(group);
        busy.add(group);
      });
    }
  }

  /**
   * Whether the rows may be to blame: their error allows it, and their table took others since they failed.
   */
  #isWorthTrying(table: ValueTable, groups: readonly HeldGroup[], problem: unknown): boolean {
    if (isTableFailure(problem) || suspect(problem) !== 'row') return false;
    const since = groups.map(group => this.#failed(group));
    return since.some(moment => this.#parts.health.tookSince(table, moment));
  }

  async #releaseGroup(session: PoolConnection, table: ValueTable, group: HeldGroup): Promise<void> {
    const { health } = this.#parts;
    const id = groupId(group);
    const since = this.#failedSince.get(id);
    const tookOthers = since !== undefined && health.tookSince(table, since);
    const kept = new Set<string>();
    for (let after: number | undefined = group.oldest - 1; after !== undefined && !this.#rounds.stopped; ) {
      const done: Released = await this.#release
        .releaseSome(session, group, after, kept, tookOthers)
        .catch(failure => {
          const error = causeOf(failure);
          if (error instanceof RowFailure) this.#failed(group);
          throw error instanceof RowFailure ? error.cause : error;
        });
      if (done.written > 0) this.#wrote(table, done.written);
      if (done.refused > 0) this.#refused(group, done.refused);
      after = done.next;
    }
    this.#failedSince.delete(id);
  }

  #wrote(table: ValueTable, rows: number): void {
    this.#parts.health.took([table]);
    this.#released.set(table, (this.#released.get(table) ?? 0) + rows);
  }

  #refused({ partition, kind, name }: HeldGroup, quarantined: number): void {
    this.#parts.log.error(
      { partition, kind, name, quarantined },
      'a mapped table takes updates again but refused some of the held ones; they stay in quarantine',
    );
  }

  /** Notes that all rows of the group failed alike. @returns when they first did */
  #failed(group: HeldGroup): number {
    const id = groupId(group);
    const since = this.#failedSince.get(id) ?? performance.now();
    this.#failedSince.set(id, since);
    return since;
  }

  /** @returns the table's error for some held rows; undefined if it takes one, or refuses one for its data */
  async #try(session: PoolConnection, table: ValueTable, groups: readonly HeldGroup[]): Promise<unknown> {
    const ids = [...new Set(groups.flatMap(({ oldest, newest }) => [oldest, newest]))];
    const stride = Math.ceil(ids.length / SAMPLES);
    const some = ids.filter((_, index) => index % stride === 0);
    let problem: unknown;
    try {
      await transactionIn(session, async connection => {
        const rows = (await queryRows(connection, SAMPLE, [some])).map(toHeldRow);
        for (const row of rows) {
          problem = await tryRow(connection, table, groups[0]!.name, row);
          if (problem === undefined) break;
        }
        throw new Trial();
      });
    } catch (failure) {
      const error = causeOf(failure);
      if (!(error instanceof Trial))
        return classifyDatabaseError(error) === 'conflict' ? error : rethrow(error);
    }
    return problem;
  }
}

function groupId({ partition, kind, name }: HeldGroup): string {
  return `${partition} ${kind} ${name}`;
}

function rethrow(error: unknown): never {
  throw error;
}

async function tryRow(
  connection: PoolConnection,
  table: ValueTable,
  name: string,
  { key, amount, version, entry }: HeldRow,
): Promise<unknown> {
  await connection.query('SAVEPOINT trial');
  const rows = [{ name, key, amount, version }];
  let problem: unknown;
  try {
    await table.add(connection, rows);
    if (entry) await table.values(connection, rows);
  } catch (error) {
    // A lock that somebody holds, or a lost connection, ends the trial.
    const isAnswer = isRefusal(error) || isServerError(error) || isTableFailure(error);
    if (!isAnswer || isLockWait(error)) throw error;
    if (!isRefusal(error)) problem = error;
  }
  await connection.query('ROLLBACK TO SAVEPOINT trial');
  return problem;
}

/** In an order by chance (Fisher and Yates). */
function shuffled<One>(all: readonly One[], random: () => number): One[] {
  const order = [...all];
  for (let last = order.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  return order;
}
