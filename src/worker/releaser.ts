/**
 * Looks for held updates, and has them written as soon as their mapped table takes rows again. Every worker looks, so that what a
 * worker held before it was killed is found by any other. A table is tried on a few rows first, in a transaction that is rolled back
 * and holds no lock of Sluice: whoever alters the table holds up this look, and no flush.
 */
import type { PoolConnection } from 'mysql2/promise';
import type { Logger } from 'pino';
import type { Definitions } from '../shared/config/definitions.ts';
import { ROW_KINDS } from '../shared/item.ts';
import { type Database, queryRows, readSql } from '../shared/mysql/database.ts';
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
  type Released,
  SHORT_WAIT,
  toHeldRow,
} from './release.ts';
import { Rounds, spread } from './rounds.ts';
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
/** How often a worker looks, ms: while it knows of held updates, and otherwise. */
const HOLDING_MS = 1000;
const IDLE_MS = 2000;
/** Rows on which a table is tried. */
const SAMPLES = 16;

/** Rolls a trial back. */
class Trial extends Error {}

export class Releaser {
  readonly #parts: ReleaserParts;
  readonly #release: HeldRelease;
  readonly #rounds: Rounds;
  readonly #lines: RepeatedLines;
  /** When all rows of a group failed alike for the first time. */
  readonly #failedSince = new Map<string, number>();
  readonly #released = new Map<ValueTable, number>();
  readonly #recorded = new Set<TargetTable>();
  /** The first look is at once: somebody may have been killed. */
  #hasLooked = false;

  constructor(parts: ReleaserParts) {
    const { database, tables, health, random, log } = parts;
    this.#parts = parts;
    this.#release = new HeldRelease(database, tables);
    this.#lines = new RepeatedLines(log);
    this.#rounds = new Rounds({
      every: () => (this.#hasLooked ? spread(health.mayHold ? HOLDING_MS : IDLE_MS, random) : 0),
      round: () => this.once(),
      onError: error => {
        if (isOutage(error) || this.#rounds.stopped)
          log.debug({ err: error }, 'held updates wait for the database');
        else this.#lines.warn({ err: error }, 'held updates could not be looked for, will try again');
      },
    });
  }

  start(): void {
    this.#rounds.start();
  }

  /** Resolves when the round at hand has ended. */
  stop(): Promise<void> {
    return this.#rounds.stop();
  }

  /** One round over everything that is held. */
  async once(): Promise<void> {
    const { database, health, circuit, log } = this.#parts;
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
    this.#settle(byTable);
    await Promise.all(
      [...byTable.values()].map(some =>
        this.#releaseAll(some).catch(error => {
          if (isOutage(error)) throw error;
          log.debug({ err: error, name: some[0]!.name }, 'held updates wait on');
        }),
      ),
    );
  }

  /** Tables of which nothing is held any more. */
  #settle(held: ReadonlyMap<string, unknown>): void {
    for (const table of this.#parts.tables.targets) {
      if (held.has(`${ROW_KINDS[table.kind]} ${table.name}`)) continue;
      this.#parts.health.settled(table, this.#released.get(table) ?? 0);
      this.#released.delete(table);
    }
  }

  /** Remembers once for each mapping that fits that it did. */
  async #record(): Promise<void> {
    for (const table of this.#parts.tables.targets) {
      if (this.#recorded.has(table) || !table.fits) continue;
      await recordTarget(this.#parts.database, table);
      this.#recorded.add(table);
    }
  }

  /** @param groups all of one table */
  async #releaseAll(groups: readonly HeldGroup[]): Promise<void> {
    const { definitions, tables, database, health } = this.#parts;
    const { kind, name } = groups[0]!;
    const isCounter = kind === 'counter';
    // Whoever does not know where its values go must not write them.
    if (!(name in (isCounter ? definitions.counters : definitions.points))) return;
    const table = tables.of(isCounter ? 'c' : 'p', name);
    await table.recheck(database);
    const problem = await this.#try(table, groups);
    if (problem !== undefined && !this.#isWorthTrying(table, groups, problem)) return;
    if (problem === undefined) health.works(table);
    for (const group of groups) {
      if (this.#rounds.stopped) return;
      await this.#releaseGroup(table, group);
    }
  }

  /** Whether rows may be to blame themselves: their error is odd, and their table took others since they failed. */
  #isWorthTrying(table: ValueTable, groups: readonly HeldGroup[], problem: unknown): boolean {
    if (isTableFailure(problem) || suspect(problem) !== 'row') return false;
    const since = groups.map(group => this.#failed(group));
    return since.some(moment => this.#parts.health.tookSince(table, moment));
  }

  async #releaseGroup(table: ValueTable, group: HeldGroup): Promise<void> {
    const { health } = this.#parts;
    const place = placeOf(group);
    const since = this.#failedSince.get(place);
    const tookOthers = since !== undefined && health.tookSince(table, since);
    const kept = new Set<string>();
    for (let after: number | undefined = group.oldest - 1; after !== undefined && !this.#rounds.stopped; ) {
      const done: Released = await this.#release.some(group, after, kept, tookOthers).catch(error => {
        if (error instanceof RowFailure) this.#failed(group);
        throw error instanceof RowFailure ? error.cause : error;
      });
      if (done.written > 0) this.#wrote(table, done.written);
      if (done.refused > 0) this.#refused(group, done.refused);
      after = done.next;
    }
    this.#failedSince.delete(place);
  }

  #wrote(table: ValueTable, rows: number): void {
    this.#parts.health.took([table]);
    this.#released.set(table, (this.#released.get(table) ?? 0) + rows);
  }

  #refused({ partition, kind, name }: HeldGroup, quarantined: number): void {
    this.#parts.log.error(
      { partition, kind, name, quarantined },
      'a mapped table takes updates again and refuses some of those held, they are in quarantine',
    );
  }

  /** When all rows of the group first failed alike; now, if they had not yet. */
  #failed(group: HeldGroup): number {
    const place = placeOf(group);
    const since = this.#failedSince.get(place) ?? performance.now();
    this.#failedSince.set(place, since);
    return since;
  }

  /** Tries a few held rows. Gives the error that keeps the table from taking them; undefined if it takes one, or refuses one for its own sake. */
  async #try(table: ValueTable, groups: readonly HeldGroup[]): Promise<unknown> {
    const ids = [...new Set(groups.flatMap(({ oldest, newest }) => [oldest, newest]))];
    const stride = Math.ceil(ids.length / SAMPLES);
    const some = ids.filter((_, at) => at % stride === 0);
    let problem: unknown;
    try {
      await this.#parts.database.transaction(async connection => {
        const rows = (await queryRows(connection, SAMPLE, [some])).map(toHeldRow);
        for (const row of rows) {
          problem = await tryRow(connection, table, groups[0]!.name, row);
          if (problem === undefined) break;
        }
        throw new Trial();
      }, SHORT_WAIT);
    } catch (error) {
      if (!(error instanceof Trial))
        return classifyDatabaseError(error) === 'conflict' ? error : rethrow(error);
    }
    return problem;
  }
}

function placeOf({ partition, kind, name }: HeldGroup): string {
  return `${partition} ${kind} ${name}`;
}

function rethrow(error: unknown): never {
  throw error;
}

async function tryRow(
  connection: PoolConnection,
  table: ValueTable,
  name: string,
  { key, amount, entry }: HeldRow,
): Promise<unknown> {
  await connection.query('SAVEPOINT trial');
  const rows = [{ name, key, amount }];
  let problem: unknown;
  try {
    await table.add(connection, rows);
    if (entry) await table.values(connection, rows);
  } catch (error) {
    // A lock that somebody holds, or a lost connection, ends the trial.
    const isAbout = isRefusal(error) || isServerError(error) || isTableFailure(error);
    if (!isAbout || isLockWait(error)) throw error;
    if (!isRefusal(error)) problem = error;
  }
  await connection.query('ROLLBACK TO SAVEPOINT trial');
  return problem;
}
