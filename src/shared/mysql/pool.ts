/** The connection pool of one MySQL host. When another host takes over, all connections end at once. */
import type { Socket } from 'node:net';
import type { PoolConnection as CoreConnection } from 'mysql2';
import { type ConnectionOptions, createPool, type Pool, type PoolConnection } from 'mysql2/promise';
import { orTimeout, within } from '../clock.ts';
import { keepCurrent } from '../password.ts';
import { SessionSetUp } from './session.ts';

export interface PoolLimits {
  connections: number;
  idleTransactionSeconds: number;
  /** For processes that only read: if no host of the list takes writes, the first to answer is used. */
  onlyReads?: boolean;
}

const ACQUIRE_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 2000;
/** The server may close a session this long before its wait_timeout, ms. */
const CLOSING_MS = 1000;

export class HostPool {
  /** HOST:PORT */
  readonly address: string;
  readonly setUp: SessionSetUp;
  readonly #pool: Pool;
  readonly #open = new Set<CoreConnection>();
  readonly #staleAfterMs: number;
  /** When each connection returned to the pool. */
  readonly #idleSince = new WeakMap<object, number>();
  /**
   * Rejects the callers that wait for a connection. They share no promise: a race against a promise that
   * stays open is kept in memory as long as that promise.
   */
  readonly #waiting = new Set<(error: Error) => void>();
  #givenUp: Error | undefined;

  constructor(address: string, options: ConnectionOptions, limits: PoolLimits) {
    this.address = address;
    this.setUp = new SessionSetUp(address);
    this.#pool = createPool({
      ...options,
      connectionLimit: limits.connections,
    });
    // The pool reads its options once and copies them, getters included, for each new connection.
    const { get } = Object.getOwnPropertyDescriptor(options, 'password') ?? {};
    const { config } = this.#pool.pool as unknown as { config: { connectionConfig: object } };
    keepCurrent(config.connectionConfig, 'password', get);
    this.#staleAfterMs = limits.idleTransactionSeconds * 1000 - CLOSING_MS;
    // Events carry the core's own connections, although the promise interface declares others.
    this.#pool.on('connection', connection => this.#watch(connection as unknown as CoreConnection));
    this.#pool.on('release', connection => this.#idleSince.set(connection, performance.now()));
  }

  /**
   * Replaces a connection that was idle for almost the session's wait_timeout: the server closes it, and a
   * busy process may not have noticed yet. (mysql2 checks its `idleTimeout` only if `maxIdle` is below the
   * limit.)
   */
  async connection(): Promise<PoolConnection> {
    for (;;) {
      const connection = await this.#acquire();
      const since = this.#idleSince.get(connection.connection) ?? performance.now();
      if (performance.now() - since < this.#staleAfterMs) return connection;
      connection.destroy();
    }
  }

  /** Limits the wait: a connection may hang in its handshake for ever. */
  async #acquire(): Promise<PoolConnection> {
    const acquired = this.#pool.getConnection();
    try {
      return await this.#unlessGivenUp(
        orTimeout(acquired, ACQUIRE_TIMEOUT_MS, 'no database connection in time'),
      );
    } catch (error) {
      acquired
        .then(connection => (this.#givenUp ? connection.destroy() : connection.release()))
        .catch(() => {});
      throw error;
    }
  }

  #unlessGivenUp<Answer>(work: Promise<Answer>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#givenUp) reject(this.#givenUp);
      this.#waiting.add(reject);
      work.then(resolve, reject).finally(() => this.#waiting.delete(reject));
    });
  }

  /** Ends every connection. Statements on them fail with the error. The pool cannot be used afterwards. */
  giveUp(error: Error): void {
    this.#givenUp = error;
    for (const reject of this.#waiting) reject(error);
    for (const connection of this.#open) endNow(connection, error);
  }

  /** Never rejects: a connection that is lost meanwhile is closed too. */
  async close(): Promise<void> {
    await within(this.#pool.end(), CLOSE_TIMEOUT_MS);
  }

  #watch(connection: CoreConnection): void {
    if (this.#givenUp) {
      connection.destroy();
      return;
    }
    this.#open.add(connection);
    for (const event of ['end', 'error']) connection.once(event, () => this.#open.delete(connection));
  }
}

/** mysql2's own `destroy` never answers the running statement. */
function endNow(connection: CoreConnection, error: Error): void {
  (connection as unknown as { stream: Socket }).stream.destroy(error);
}
