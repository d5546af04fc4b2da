/** Connections to MySQL or MariaDB: sessions set up strictly, statements limited in time. */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import {
  createPool,
  type Pool,
  type PoolConnection,
  type PoolOptions,
  type RowDataPacket,
} from 'mysql2/promise';
import { within } from './clock.ts';
import { DatabaseUnsuitableError } from './errors.ts';
import { classifyDatabaseError } from './mysql-errors.ts';
import { type MysqlLocation, parseMysqlUrl } from './mysql-url.ts';
import { rdsAuthorities, rdsAuthPlugins } from './rds-login.ts';
import { LEAST_PACKET, notePacket } from './statement-size.ts';

export interface SessionLimits {
  /** Connections at most. */
  connections: number;
  /** Session wait_timeout: how long a silent session may keep its locks, seconds. */
  idleTransactionSeconds: number;
  lockWaitSeconds: number;
  /** Longest wait for the answer to a statement, ms; 15,000 by default. */
  statementTimeoutMs?: number;
}

/** A session's rows as `query` gives them: BIGINT and DECIMAL are strings, VARBINARY is a Buffer. */
export type Rows = RowDataPacket[];

const STATEMENT_TIMEOUT_MS = 15_000;
const ACQUIRE_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 2000;

export class Database {
  readonly place: string;
  readonly #pool: Pool;
  readonly #limits: SessionLimits;
  readonly #prepared = new WeakSet<object>();

  /** @throws ConfigurationError where the URL is malformed or names no database. */
  constructor(location: MysqlLocation, limits: SessionLimits) {
    const { host, port, user, password, database } = parseMysqlUrl(location);
    this.place = `${host}:${port}`;
    this.#limits = limits;
    this.#pool = createPool({
      host,
      port,
      user,
      password,
      database,
      charset: 'utf8mb4',
      timezone: 'Z',
      supportBigNumbers: true,
      bigNumberStrings: true,
      connectionLimit: limits.connections,
      maxIdle: limits.connections,
      // Below the session's wait_timeout, so that the server never closes a connection that the pool hands out.
      idleTimeout: Math.max(500, (limits.idleTransactionSeconds * 1000) / 2 - 500),
      connectTimeout: 5000,
      ...encryption(location, host),
      ...(location.rdsLogin ? { authPlugins: rdsAuthPlugins(location.rdsLogin, { host, port, user }) } : {}),
    });
  }

  /** Runs one statement in a session of its own. @throws what mysql2 throws */
  async query(sql: string, values: unknown[] = []): Promise<Rows> {
    return this.session(connection => queryRows(connection, sql, values));
  }

  /** Lends a session; one that failed is closed rather than reused, since its state is not known. */
  async session<Result>(use: (connection: PoolConnection) => Promise<Result>): Promise<Result> {
    const connection = timed(await this.#acquire(), this.#limits.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS);
    try {
      if (!this.#prepared.has(connection.connection)) {
        await connection.query(
          `SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_DATE,NO_ZERO_IN_DATE,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00', wait_timeout = ${this.#limits.idleTransactionSeconds}, innodb_lock_wait_timeout = ${this.#limits.lockWaitSeconds}, lock_wait_timeout = ${this.#limits.lockWaitSeconds}`,
        );
        await connection.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED');
        await checkPacket(connection, this.place);
        this.#prepared.add(connection.connection);
      }
      const result = await use(connection);
      connection.release();
      return result;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  /**
   * Lends a session inside a transaction that is committed when `use` returns. Where `use` throws, it is rolled back and
   * the session kept; where the rollback or the commit fails, the session is closed, as its state is not known.
   */
  async transaction<Result>(use: (connection: PoolConnection) => Promise<Result>): Promise<Result> {
    const ended = await this.session(async connection => {
      await connection.query('START TRANSACTION');
      let result: Result;
      try {
        result = await use(connection);
      } catch (error) {
        // A connection that is lost or silent would not answer the rollback either.
        if (classifyDatabaseError(error) === 'unavailable') throw error;
        await connection.query('ROLLBACK').catch(() => {
          throw error;
        });
        return { error };
      }
      await connection.query('COMMIT');
      return { result };
    });
    if ('error' in ended) throw ended.error;
    return ended.result;
  }

  /** A pool whose connections hang in their handshake would let callers wait for ever. */
  async #acquire(): Promise<PoolConnection> {
    const acquired = this.#pool.getConnection();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        acquired.then(connection => connection.release()).catch(() => {});
        reject(Object.assign(new Error('no database connection in time'), { code: 'ETIMEDOUT' }));
      }, ACQUIRE_TIMEOUT_MS);
    });
    try {
      return await Promise.race([acquired, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Never rejects: a connection that is lost on its farewell is closed as well. */
  async close(): Promise<void> {
    await within(this.#pool.end(), CLOSE_TIMEOUT_MS);
  }
}

/** @throws DatabaseUnsuitableError where the server takes no statement of the length that one item needs */
async function checkPacket(connection: PoolConnection, place: string): Promise<void> {
  const [row] = await queryRows(connection, 'SELECT @@max_allowed_packet AS packet');
  const packet = Number(row!.packet);
  if (packet < LEAST_PACKET)
    throw new DatabaseUnsuitableError(
      `The database at ${place} has max_allowed_packet = ${packet}, but the longest single update takes a statement of up to ${LEAST_PACKET} bytes; set max_allowed_packet to at least that (the default is 16 MB or more).`,
    );
  notePacket(connection, packet);
}

/**
 * Gives every statement a limit on the client's side: a server that fell silent without closing its connections would
 * hold a flush, and its partition, until TCP gives up. The session is destroyed then, its outcome unknown.
 */
function timed(connection: PoolConnection, timeout: number): PoolConnection {
  const query = (sql: string, values?: unknown[]) => connection.query({ sql, values: values ?? [], timeout });
  return Object.create(connection, { query: { value: query, writable: true } });
}

export async function queryRows(
  connection: PoolConnection,
  sql: string,
  values: unknown[] = [],
): Promise<Rows> {
  const [rows] = await connection.query<Rows>(sql, values);
  return rows;
}

/** Without `verifyIdentity` mysql2 takes any certificate that the authority signed, whoever's it is. It cannot check an address. */
function encryption({ caFile, tls, rdsLogin }: MysqlLocation, host: string): Pick<PoolOptions, 'ssl'> {
  const verifyIdentity = isIP(host) === 0;
  if (caFile) return { ssl: { ca: readFileSync(caFile), verifyIdentity } };
  if (tls === 'rds' || rdsLogin) return { ssl: { ca: rdsAuthorities(), verifyIdentity: true } };
  return tls ? { ssl: { verifyIdentity } } : {};
}

/** Reads the SQL file beside the calling module, without its comment header. */
export function readSql(file: URL): string {
  return readFileSync(file, 'utf8')
    .replace(/^--.*\n/gm, '')
    .trim();
}

/** A backtick inside is doubled, so that no configured name can leave its quotes. */
export function quoteIdentifier(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}
