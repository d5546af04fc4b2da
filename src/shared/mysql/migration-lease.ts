/**
 * The lock of `migrate`: a row of `sluice_meta` that names who migrates and until when, by the database's clock.
 *
 * GET_LOCK and locked rows belong to one node of a Galera cluster, and a strict Percona XtraDB Cluster forbids GET_LOCK; a
 * committed row is seen by every node, and of two that take it at once the cluster refuses one. A process that dies renews
 * no more, so its lease runs out. One that was frozen finds that out before its next statement; the statement at hand may
 * come beside another's, which is why every statement of a migration may run twice.
 */
import type { ResultSetHeader } from 'mysql2/promise';
import { pause, randomToken } from '../clock.ts';
import { DatabaseUnavailableError } from '../errors.ts';
import type { Database } from './database.ts';
import { classifyDatabaseError } from './errors.ts';

const LEASE_MS = 15_000;
const RENEW_MS = 3000;
const ASK_MS = 300;
/** Longer than any lease, so that whoever waits gets it after the death of its holder. */
const LEASE_WAIT_MS = 60_000;

const NAME = "name = 'migration_lease'";
const NOW = "TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(3)) DIV 1000";
const CREATE = "INSERT IGNORE INTO sluice_meta (name, value) VALUES ('migration_lease', '0 -')";
const TAKE = `UPDATE sluice_meta SET value = CONCAT(${NOW} + ?, ' ', ?)
  WHERE ${NAME} AND CAST(SUBSTRING_INDEX(value, ' ', 1) AS UNSIGNED) < ${NOW}`;
const RENEW = `UPDATE sluice_meta SET value = CONCAT(${NOW} + ?, ' ', ?)
  WHERE ${NAME} AND SUBSTRING_INDEX(value, ' ', -1) = ?`;
const RELEASE = `UPDATE sluice_meta SET value = '0 -' WHERE ${NAME} AND SUBSTRING_INDEX(value, ' ', -1) = ?`;

export class MigrationLease {
  readonly #database: Database;
  readonly #holder = randomToken();
  readonly #ended = new AbortController();
  /** By this process's clock, from before the statement that took or renewed it. */
  #until = 0;

  private constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Waits for whoever migrates. `sluice_meta` must exist.
   * @throws DatabaseUnavailableError after `waitMs`, or what mysql2 throws
   */
  static async take(database: Database, waitMs = LEASE_WAIT_MS): Promise<MigrationLease> {
    const lease = new MigrationLease(database);
    await database.query(CREATE);
    for (const end = performance.now() + waitMs; !(await lease.#write(TAKE)); await pause(ASK_MS))
      if (performance.now() > end)
        throw new DatabaseUnavailableError(`${database.address} (another migration holds the lock)`);
    void lease.#renew();
    return lease;
  }

  /** Before every statement. @throws DatabaseUnavailableError if another may hold it meanwhile */
  check(): void {
    if (performance.now() < this.#until) return;
    throw new DatabaseUnavailableError(`${this.#database.address} (the lock of this migration ran out)`);
  }

  /** Never rejects: it runs out by itself. */
  async release(): Promise<void> {
    this.#ended.abort();
    await this.#database.query(RELEASE, [this.#holder]).catch(() => {});
  }

  async #renew(): Promise<void> {
    for (;;) {
      await pause(RENEW_MS, this.#ended.signal);
      if (this.#ended.signal.aborted) return;
      // What went wrong is told by `check`, once it matters.
      await this.#write(RENEW).catch(() => {});
    }
  }

  async #write(text: typeof TAKE | typeof RENEW): Promise<boolean> {
    const sent = performance.now();
    const holder = this.#holder;
    const values = text === TAKE ? [LEASE_MS, holder] : [LEASE_MS, holder, holder];
    const written = await this.#database
      .session(async connection => {
        const [result] = await connection.query<ResultSetHeader>(text, values);
        return result.affectedRows === 1;
      })
      .catch(error => {
        // Who loses the race for the row, on this node or another, asks again.
        if (classifyDatabaseError(error) === 'conflict') return false;
        throw error;
      });
    if (written) this.#until = sent + LEASE_MS;
    return written;
  }
}
