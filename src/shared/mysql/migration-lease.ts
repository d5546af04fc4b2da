/**
 * The lock of `migrate`: a lease in a row of `sluice_meta`, with its holder and its end by the database's
 * clock.
 *
 * GET_LOCK and row locks exist on one node of a Galera cluster only, and a strict Percona XtraDB Cluster
 * forbids GET_LOCK. A committed row is seen by every node, and the cluster refuses one of two writers. If the
 * holder dies, its lease expires. A frozen holder notices that before its next statement. Its current
 * statement may still overlap another holder's, so every statement of a migration must be safe to run twice.
 */
import type { ResultSetHeader } from 'mysql2/promise';
import { pause, randomToken } from '../clock.ts';
import { DatabaseUnavailableError } from '../errors.ts';
import type { Database } from './database.ts';
import { classifyDatabaseError } from './errors.ts';

const LEASE_MS = 15_000;
const RENEW_MS = 3000;
const ASK_MS = 300;
/** Longer than a lease, so that a waiting process gets it if the holder dies. */
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
  /** End of the lease by this process's clock, counted from before the statement that took or renewed it. */
  #until = 0;

  private constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Waits while another process holds the lease. `sluice_meta` must exist.
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

  /** Must be called before every statement. @throws DatabaseUnavailableError if the lease has expired */
  check(): void {
    if (performance.now() < this.#until) return;
    throw new DatabaseUnavailableError(`${this.#database.address} (the lock of this migration ran out)`);
  }

  /** Never rejects: after a failure the lease expires. */
  async release(): Promise<void> {
    this.#ended.abort();
    await this.#database.query(RELEASE, [this.#holder]).catch(() => {});
  }

  async #renew(): Promise<void> {
    for (;;) {
      await pause(RENEW_MS, this.#ended.signal);
      if (this.#ended.signal.aborted) return;
      // After a failure, `check` throws once the lease has expired.
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
        // Another process was faster, on this node or another one; the caller retries.
        if (classifyDatabaseError(error) === 'conflict') return false;
        throw error;
      });
    if (written) this.#until = sent + LEASE_MS;
    return written;
  }
}
