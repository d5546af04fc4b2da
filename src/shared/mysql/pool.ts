/** The connections to one MySQL host. They can be given up at once, with what runs on them, when another host takes over. */
import type { Socket } from 'node:net';
import type { PoolConnection as CoreConnection } from 'mysql2';
import { type ConnectionOptions, createPool, type Pool, type PoolConnection } from 'mysql2/promise';
import { orTimeout, within } from '../clock.ts';
import { keepCurrent } from '../password.ts';
import { SessionSetUp } from './session.ts';

export interface PoolLimits {
  connections: number;
  idleTransactionSeconds: number;
  /** For who only reads: if no host of a list takes writes, one that answers will do. */
  onlyReads?: boolean;
}

const ACQUIRE_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 2000;
/** So long before a session's wait_timeout ends the server may be closing it already. */
const CLOSING_MS = 1000;

export class HostPool {
  /** HOST:PORT */
  readonly address: string;
  readonly setUp: SessionSetUp;
  readonly #pool: Pool;
  readonly #open = new Set<CoreConnection>();
  readonly #staleAfterMs: number;
  /** When each connection came back to the pool. */
  readonly #idleSince = new WeakMap<object, number>();
  /**
   * Ends the wait of each caller that has no connection yet. Not one promise for all: what is raced against a promise that
   * stays open is kept as long as that is.
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
    // The pool reads its options once, and copies what it has, getters included, for each new connection.
    const { get } = Object.getOwnPropertyDescriptor(options, 'password') ?? {};
    const { config } = this.#pool.pool as unknown as { config: { connectionConfig: object } };
    keepCurrent(config.connectionConfig, 'password', get);
    this.#staleAfterMs = limits.idleTransactionSeconds * 1000 - CLOSING_MS;
    // As events the core's own connections come, whatever the interface for promises declares.
    this.#pool.on('connection', connection => this.#watch(connection as unknown as CoreConnection));
    this.#pool.on('release', connection => this.#idleSince.set(connection, performance.now()));
  }

  /**
   * A connection that was idle for almost the session's wait_timeout is replaced: the server closes it, and a process that
   * was busy meanwhile has not heard of that. (mysql2 checks its `idleTimeout` only if `maxIdle` is below the limit.)
   */
  async connection(): Promise<PoolConnection> {
    for (;;) {
      const connection = await this.#acquire();
      const since = this.#idleSince.get(connection.connection) ?? performance.now();
      if (performance.now() - since < this.#staleAfterMs) return connection;
      connection.destroy();
    }
  }

  /** A connection that hangs in its handshake would let callers wait for ever. */
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

  /** Ends every connection; what waits on one of them fails with the error. The pool cannot be used any more. */
  giveUp(error: Error): void {
    this.#givenUp = error;
    for (const reject of this.#waiting) reject(error);
    for (const connection of this.#open) endNow(connection, error);
  }

  /** Never rejects: a connection that is lost on its farewell is closed as well. */
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

/** mysql2's own `destroy` leaves a statement that is under way without an answer for ever. */
function endNow(connection: CoreConnection, error: Error): void {
  (connection as unknown as { stream: Socket }).stream.destroy(error);
}
