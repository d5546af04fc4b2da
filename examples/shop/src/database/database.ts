/**
 * MySQL with a time limit for every statement and for the wait for a connection, so that no request waits for a server
 * that says nothing.
 *
 * The pattern: a connection that failed is closed, never lent out again. mysql2's `timeout` only ends the wait: the
 * connection waits for its answer still, and the next who gets it waits as well. Its pool has no limit of time at all:
 * while MySQL says nothing, the queue for a connection would grow, and be written long after its callers have left. Use
 * it for all statements of requests and jobs. It does not end the statement in MySQL: what timed out may still be
 * written, so each write has to bear a second try.
 */
import type { FieldPacket, Pool, PoolConnection, QueryResult } from 'mysql2/promise';
import { HttpError } from '../errors.ts';

export type Query = <T extends QueryResult>(sql: string, values?: unknown[]) => Promise<[T, FieldPacket[]]>;

export class Database {
  readonly #pool: Pool;
  readonly #limitMs: number;

  /** @param limitMs how long a statement may take, and the wait for a connection before it, ms */
  constructor(pool: Pool, limitMs: number) {
    this.#pool = pool;
    this.#limitMs = limitMs;
  }

  /** @throws what mysql2 throws; PROTOCOL_SEQUENCE_TIMEOUT after the limit, and what `connected` throws */
  query: Query = (sql, values) => this.connected(query => query(sql, values));

  /**
   * Lends a connection for several statements, such as a transaction. An error closes it, which also rolls back.
   * @throws ETIMEDOUT if none is free within the limit; DATABASE_BUSY if too many wait for one
   */
  async connected<T>(use: (query: Query) => Promise<T>): Promise<T> {
    const connection = await this.#lend();
    try {
      const result = await use((sql, values) => connection.query({ sql, values, timeout: this.#limitMs }));
      connection.release();
      return result;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  async #lend(): Promise<PoolConnection> {
    const lent = this.#pool.getConnection();
    const limit = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => limit.resolve(undefined), this.#limitMs);
    try {
      const connection = await Promise.race([lent, limit.promise]);
      if (connection) return connection;
    } catch (error) {
      // mysql2 gives it no code.
      if ((error as Error).message !== 'Queue limit reached.') throw error;
      throw new HttpError(503, 'DATABASE_BUSY', 'Too many requests wait for MySQL. Ask again later.', 1);
    } finally {
      clearTimeout(timer);
    }
    // Nobody needs it when it comes: it goes on to the next in the queue.
    lent.then(late => late.release()).catch(() => {});
    throw Object.assign(new Error('No connection to MySQL is free.'), { code: 'ETIMEDOUT' });
  }

  end(): Promise<void> {
    return this.#pool.end();
  }
}
