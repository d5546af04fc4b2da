/** Connections to MySQL or MariaDB: sessions set up strictly, errors sorted by code into what to do about them. */
import { readFileSync } from 'node:fs';
import { createPool, type Pool, type PoolConnection, type RowDataPacket } from 'mysql2/promise';
import { within } from './clock.ts';
import {
  AccessDeniedError,
  ConfigurationError,
  DatabaseFailedError,
  DatabaseUnavailableError,
  NotMigratedError,
  SluiceError,
} from './errors.ts';

export interface MysqlLocation {
  /** `mysql://user:password@host:port/database` */
  url: string;
  /** Overrides the URL's part. */
  user?: string | undefined;
  password?: string | undefined;
  /** Encrypts the connection and verifies the server's certificate. */
  tls?: boolean | undefined;
  /** PEM file of the authority that signed the server's certificate; implies `tls`. */
  caFile?: string | undefined;
}

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
      ...(location.tls || location.caFile
        ? { ssl: location.caFile ? { ca: readFileSync(location.caFile) } : {} }
        : {}),
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
          `SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_DATE,NO_ZERO_IN_DATE,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00', wait_timeout = ${this.#limits.idleTransactionSeconds}, innodb_lock_wait_timeout = ${this.#limits.lockWaitSeconds}`,
        );
        await connection.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED');
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

const ENCODING = ', with special characters in the password percent-encoded';

function decodePart(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ConfigurationError(
      'MYSQL_URL holds a "%" that is not followed by two hexadecimal digits; write %25.',
    );
  }
}

function parseMysqlUrl(location: MysqlLocation) {
  let url: URL;
  try {
    url = new URL(location.url);
  } catch {
    // Without its cause, which holds the URL and so the password.
    throw new ConfigurationError(`MYSQL_URL must be mysql://USER:PASSWORD@HOST:PORT/DATABASE${ENCODING}.`);
  }
  if (!['mysql:', 'mariadb:'].includes(url.protocol))
    throw new ConfigurationError('MYSQL_URL must start with mysql://.');
  if (
    url.search !== '' ||
    url.hash !== '' ||
    url.pathname.indexOf('/', 1) > 0 ||
    url.pathname.includes('@')
  ) {
    throw new ConfigurationError(
      `MYSQL_URL must end with the database; options behind "?" are not read${ENCODING}.`,
    );
  }
  const database = decodePart(url.pathname.slice(1));
  if (database === '')
    throw new ConfigurationError('MYSQL_URL must name a database: mysql://HOST:PORT/DATABASE.');
  return {
    host: url.hostname.replace(/^\[|\]$/g, '') || '127.0.0.1',
    port: url.port ? Number(url.port) : 3306,
    user: location.user ?? decodePart(url.username),
    password: location.password ?? decodePart(url.password),
    database,
  };
}

/** Escaping can quadruple a statement; MariaDB takes 16 MB by default. */
const CHUNK_CHARACTERS = 1_000_000;

/** The rows as JSON arrays, each short enough for a statement of its own. */
export function* jsonChunks(rows: readonly unknown[]): Generator<string> {
  let chunk: string[] = [];
  let length = 0;
  for (const row of rows) {
    const json = JSON.stringify(row);
    if (length + json.length > CHUNK_CHARACTERS && chunk.length > 0) {
      yield `[${chunk.join(',')}]`;
      chunk = [];
      length = 0;
    }
    chunk.push(json);
    length += json.length + 1;
  }
  if (chunk.length > 0) yield `[${chunk.join(',')}]`;
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

/** What an error from MySQL means for a flush. */
export type DatabaseErrorClass = 'unavailable' | 'conflict' | 'refused' | 'other';

/** By error number or the code of mysql2 and the socket, never by message text. */
const ERROR_CLASSES: readonly [DatabaseErrorClass, ReadonlySet<number | string>][] = [
  [
    'unavailable',
    new Set<number | string>([
      1040,
      1053,
      1077,
      1079,
      1158,
      1159,
      1160,
      1161,
      1203,
      1226,
      1290,
      1792,
      1836,
      1927,
      2002,
      2003,
      2006,
      2013,
      3032,
      3168,
      4031,
      'PROTOCOL_CONNECTION_LOST',
      'PROTOCOL_SEQUENCE_TIMEOUT',
      'ECONNRESET',
      'ECONNREFUSED',
      'EPIPE',
      'ETIMEDOUT',
      'EHOSTUNREACH',
      'ENETUNREACH',
      'ENOTFOUND',
      'EAI_AGAIN',
      'POOL_CLOSED',
    ]),
  ],
  ['conflict', new Set<number | string>([1205, 1213, 3572, 1020])],
  [
    'refused',
    new Set<number | string>([
      1048, 1062, 1216, 1264, 1265, 1364, 1366, 1406, 1411, 1452, 1364, 1644, 1690, 3140, 3155, 3157, 3158,
      3819, 4025, 4078,
    ]),
  ],
];

export function classifyDatabaseError(error: unknown): DatabaseErrorClass {
  const { errno, code, sqlState } = (error ?? {}) as { errno?: number; code?: string; sqlState?: string };
  for (const [name, members] of ERROR_CLASSES) {
    if ((errno !== undefined && errno > 0 && members.has(errno)) || (code !== undefined && members.has(code)))
      return name;
  }
  // A trigger's SIGNAL may carry any number; the state for what it refuses is this one.
  if (sqlState === '45000') return 'refused';
  // Where mysql2 lost the connection in the middle, it marks the error fatal without one of the codes above.
  return (error as { fatal?: boolean } | undefined)?.fatal === true && !isDeniedByDatabase(error)
    ? 'unavailable'
    : 'other';
}

const DENIED = new Set([1044, 1045, 1142, 1143, 1227, 1370, 1698]);
function isDeniedByDatabase(error: unknown): boolean {
  return DENIED.has((error as { errno?: number }).errno ?? 0);
}

/** Short stable name of a database error, for metrics, quarantine and logs: `ER_DATA_TOO_LONG` or `ERRNO_1234`. */
export function databaseErrorCode(error: unknown): string {
  const { code, errno } = (error ?? {}) as { code?: string; errno?: number };
  // MariaDB's CHECK; mysql2 knows only what MySQL means by the number.
  if (errno === 4025) return 'ER_CONSTRAINT_FAILED';
  return code && /^[A-Z][A-Z0-9_]*$/.test(code) ? code : `ERRNO_${errno ?? 0}`;
}

/** Turns an error of mysql2 into one of ours where it has a meaning of its own; others come back as they are. */
export function databaseError(error: unknown, place: string): unknown {
  if (error instanceof SluiceError) return error;
  const { errno = 0, code } = (error ?? {}) as { errno?: number; code?: string };
  if (isDeniedByDatabase(error)) return new AccessDeniedError('The database', place, { cause: error });
  if (errno === 1146 || errno === 1049) return notMigrated(error, place);
  const kind = classifyDatabaseError(error);
  // Who loses a conflict may try again, as after an outage.
  if (kind === 'unavailable' || kind === 'conflict')
    return new DatabaseUnavailableError(place, { cause: error });
  const fromDatabase =
    errno > 0 || (code !== undefined && (error as { sqlState?: string }).sqlState !== undefined);
  return fromDatabase ? new DatabaseFailedError(place, databaseErrorCode(error), { cause: error }) : error;
}

function notMigrated(error: unknown, place: string): SluiceError {
  return new NotMigratedError(`The database at ${place} has no Sluice schema`, { cause: error });
}
