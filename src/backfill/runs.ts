/**
 * The record of a run in `sluice_backfills`: what it copies, how far it came, and the page under way.
 *
 * Every change names the process that owns the run, in its condition. So a process whose run was taken over
 * changes nothing any more, and sends no further page.
 */
import type { PoolConnection, ResultSetHeader } from 'mysql2/promise';
import { pause, randomToken } from '../shared/clock.ts';
import { AnswerMissingError } from '../shared/errors.ts';
import { type Database, queryRows } from '../shared/mysql/database.ts';
import { refuseConflict } from './conflicts.ts';
import { BackfillError } from './errors.ts';
import type { Place } from './pages.ts';
import type { Moment } from './remembered.ts';
import type { Spec } from './spec.ts';

/** Rows so far. */
export interface Counts {
  /** Rows that the check before the run found. */
  readonly found: number;
  /** Rows that the walk has passed. */
  readonly passed: number;
  /** Rows that became an opening. */
  readonly copied: number;
  /** Rows with NULL or 0. */
  readonly empty: number;
  /** Unusable rows that were left out. */
  readonly skipped: number;
  /** Openings that MySQL refused: they wait in quarantine. */
  readonly quarantined: number;
  /** Sum of the copied values, as digits. */
  readonly amount: string;
}

/** A page under way: recorded before the first of its openings is sent, until all are in MySQL. */
export interface UnderWay {
  /** Place of its last row. */
  readonly until: Place;
  /** The partitions that it sends to, before it does. */
  readonly since: readonly Moment[];
  /** The counts when all of it is in MySQL. */
  readonly counts: Counts;
  /** Its openings. They are recorded so that a resumed run sends the same again, whatever the table says now. */
  readonly openings: readonly RecordedOpening[];
}

/** The key as the table shows it, and the amount. */
export type RecordedOpening = readonly [key: readonly string[], amount: number];

export interface Run {
  readonly run: string;
  readonly spec: Spec;
  readonly operator: string;
  /** Place of the last row that is in MySQL, with all before it. */
  readonly place: Place | undefined;
  readonly page: UnderWay | undefined;
  /** Receipts of the page, the last one of each partition: once there, Redis has accepted all of the page. */
  readonly receipts: readonly string[] | undefined;
  readonly counts: Counts;
  readonly finishedAt: string | null;
}

const LEASE_MS = 4000;
const RENEW_MS = 1000;
const ASK_MS = 200;

export const NOTHING: Counts = {
  found: 0,
  passed: 0,
  copied: 0,
  empty: 0,
  skipped: 0,
  quarantined: 0,
  amount: '0',
};

/** What a new run records. */
interface Beginning {
  readonly operator: string;
  readonly counts: Counts;
  readonly again: boolean;
}

const ONE_AT_A_TIME = "SELECT name FROM sluice_meta WHERE name = 'deployment' FOR UPDATE";
const CREATE = `INSERT IGNORE INTO sluice_backfills
  (run, spec, operator, counts, owner, owned_until, started_at, moved_at)
  VALUES (?, ?, ?, ?, ?, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))`;
const LEASE = `UTC_TIMESTAMP(3) + INTERVAL ${LEASE_MS * 1000} MICROSECOND`;
const TAKE = `UPDATE sluice_backfills SET owner = ?, owned_until = ${LEASE} WHERE run = ? AND owned_until <= UTC_TIMESTAMP(3)`;
const RENEW = `UPDATE sluice_backfills SET owned_until = ${LEASE} WHERE run = ? AND owner = ?`;
const RELEASE = 'UPDATE sluice_backfills SET owned_until = UTC_TIMESTAMP(3) WHERE run = ? AND owner = ?';
const RECORD = 'UPDATE sluice_backfills SET page = ?, receipts = NULL WHERE run = ? AND owner = ?';
const ACCEPTED = 'UPDATE sluice_backfills SET receipts = ? WHERE run = ? AND owner = ?';
const MOVE = `UPDATE sluice_backfills SET place = ?, page = NULL, receipts = NULL, counts = ?,
  moved_at = UTC_TIMESTAMP(3), finished_at = IF(?, UTC_TIMESTAMP(3), NULL) WHERE run = ? AND owner = ?`;

/** Undefined if there is no such run. */
export async function readRun(database: Database, run: string): Promise<Run | undefined> {
  const [row] = await database.query('SELECT * FROM sluice_backfills WHERE run = ?', [Buffer.from(run)]);
  return row && toRun(row);
}

/**
 * Checks before a run begins, and before its long first look at all rows. `OwnedRun.take` checks once more.
 * @throws BackfillError if the run has another spec, or another run is in its way
 */
export async function checkSpec(database: Database, run: string, spec: Spec, again: boolean): Promise<void> {
  await database.session(connection => refuseOthers(connection, run, spec, again));
}

async function refuseOthers(
  connection: PoolConnection,
  run: string,
  spec: Spec,
  again: boolean,
): Promise<void> {
  const rows = await queryRows(connection, 'SELECT b.*, DATABASE() AS own FROM sluice_backfills b');
  const schema = String(rows[0]?.own);
  refuseConflict(rows.map(toRun), { run, spec, again, schema });
}

/** A run that this process owns. */
export class OwnedRun {
  readonly #database: Database;
  readonly #ended = new AbortController();
  readonly #owner = randomToken();
  /** End of the lease by this process's clock, counted from before the statement that took or renewed it. */
  #until = 0;
  readonly run: string;

  private constructor(database: Database, run: string) {
    this.#database = database;
    this.run = run;
  }

  /**
   * Creates the run if it is new; one after another, so that each sees those before it. If another process owns it, waits until its lease ends, which is soon if it
   * died.
   * @param begin what it records if the run is new
   * @throws BackfillError if the other process lives, or another run is in its way
   */
  static async take(database: Database, run: string, spec: Spec, begin: Beginning) {
    const { operator, counts, again } = begin;
    const own = new OwnedRun(database, run);
    const name = Buffer.from(run);
    await database.transaction(async connection => {
      await queryRows(connection, ONE_AT_A_TIME);
      await refuseOthers(connection, run, spec, again);
      const values = [name, JSON.stringify(spec), operator, JSON.stringify(counts), own.#owner];
      await connection.query(CREATE, values);
    });
    const end = performance.now() + 2 * LEASE_MS;
    const first = await leaseOf(database, name);
    while (!(await own.#lease(TAKE, [own.#owner, name]))) {
      const now = await leaseOf(database, name);
      if (now !== first || performance.now() > end)
        throw new BackfillError(
          'BACKFILL_RUNNING',
          `Another process carries out the backfill ${run}; wait until it ends, or stop it first.`,
        );
      await pause(ASK_MS);
    }
    void own.#renew();
    return own;
  }

  /**
   * Must be called before openings are sent: a process that was frozen may have lost the run meanwhile.
   * @throws BackfillError if another process has taken the run over
   */
  async check(): Promise<void> {
    if (performance.now() < this.#until || (await this.#renewed())) return;
    throw this.#lost();
  }

  async read(): Promise<Run> {
    const run = await readRun(this.#database, this.run);
    if (!run) throw new AnswerMissingError(`the row of the backfill ${this.run}`);
    return run;
  }

  /** Records the page under way. @throws BackfillError if another process has taken the run over */
  record(page: UnderWay, connection?: PoolConnection): Promise<void> {
    return this.#write(RECORD, [JSON.stringify(page)], connection);
  }

  /** Records that Redis has accepted the page. @throws BackfillError if another process has taken the run over */
  accepted(receipts: readonly string[]): Promise<void> {
    return this.#write(ACCEPTED, [JSON.stringify(receipts)]);
  }

  /**
   * Moves the checkpoint. Everything up to the place must be in MySQL.
   * @throws BackfillError if another process has taken the run over
   */
  move(place: Place | undefined, counts: Counts, isEnd: boolean, connection?: PoolConnection): Promise<void> {
    const values = [place ? JSON.stringify(place) : null, JSON.stringify(counts), isEnd ? 1 : 0];
    return this.#write(MOVE, values, connection);
  }

  /** Never rejects: after a failure the lease ends by itself. */
  async release(): Promise<void> {
    this.#ended.abort();
    await this.#change(RELEASE, [Buffer.from(this.run), this.#owner]).catch(() => {});
  }

  async #renew(): Promise<void> {
    for (;;) {
      await pause(RENEW_MS, this.#ended.signal);
      if (this.#ended.signal.aborted) return;
      await this.#renewed().catch(() => {});
    }
  }

  #renewed(): Promise<boolean> {
    return this.#lease(RENEW, [Buffer.from(this.run), this.#owner]);
  }

  async #lease(sql: string, values: unknown[]): Promise<boolean> {
    const sent = performance.now();
    const isOurs = await this.#change(sql, values);
    if (isOurs) this.#until = sent + LEASE_MS;
    return isOurs;
  }

  async #write(sql: string, values: unknown[], connection?: PoolConnection): Promise<void> {
    if (await this.#change(sql, [...values, Buffer.from(this.run), this.#owner], connection)) return;
    throw this.#lost();
  }

  #lost(): BackfillError {
    return new BackfillError(
      'BACKFILL_TAKEN_OVER',
      `Another process has taken the backfill ${this.run} over, so this one ends.`,
    );
  }

  async #change(sql: string, values: unknown[], connection?: PoolConnection): Promise<boolean> {
    const change = async (on: PoolConnection) =>
      (await on.query<ResultSetHeader>(sql, values))[0].affectedRows === 1;
    return connection ? change(connection) : this.#database.session(change);
  }
}

async function leaseOf(database: Database, run: Buffer): Promise<string> {
  const rows = await database.session(connection =>
    queryRows(connection, 'SELECT CONCAT(owner, owned_until) AS lease FROM sluice_backfills WHERE run = ?', [
      run,
    ]),
  );
  return String(rows[0]?.lease);
}

function toRun(row: Readonly<Record<string, unknown>>): Run {
  const parsed = (text: unknown) => (text === null ? undefined : JSON.parse(String(text)));
  return {
    run: String(row.run),
    spec: parsed(row.spec),
    operator: String(row.operator),
    place: parsed(row.place),
    page: parsed(row.page),
    receipts: parsed(row.receipts),
    counts: parsed(row.counts),
    finishedAt: row.finished_at === null ? null : (row.finished_at as Date).toISOString(),
  };
}
