/**
 * MySQL with a time limit for every statement, so that no request waits for a server that says nothing.
 *
 * The pattern: a connection that failed is closed, never lent out again. mysql2's `timeout` only ends the wait: the
 * connection waits for its answer still, and the next who gets it waits as well. Use it for all statements of requests
 * and jobs. It does not end the statement in MySQL: what timed out may still be written, so each write has to bear a
 * second try.
 */
import type { FieldPacket, Pool, QueryResult } from 'mysql2/promise';

export type Query = <T extends QueryResult>(sql: string, values?: unknown[]) => Promise<[T, FieldPacket[]]>;

export class Database {
  readonly #pool: Pool;
  readonly #limitMs: number;

  /** @param limitMs how long a statement may take, ms */
  constructor(pool: Pool, limitMs: number) {
    this.#pool = pool;
    this.#limitMs = limitMs;
  }

  /** @throws what mysql2 throws; PROTOCOL_SEQUENCE_TIMEOUT after the limit */
  query: Query = (sql, values) => this.connected(query => query(sql, values));

  /** Lends a connection for several statements, such as a transaction. An error closes it, which also rolls back. */
  async connected<T>(use: (query: Query) => Promise<T>): Promise<T> {
    const connection = await this.#pool.getConnection();
    try {
      const result = await use((sql, values) => connection.query({ sql, values, timeout: this.#limitMs }));
      connection.release();
      return result;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  end(): Promise<void> {
    return this.#pool.end();
  }
}
