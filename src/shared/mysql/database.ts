/** Connections to MySQL or MariaDB: strict session variables, and a timeout for each statement. */
import { readFileSync } from 'node:fs';
import type { PoolConnection, RowDataPacket } from 'mysql2/promise';
import { AnswerMissingError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { classifyDatabaseError, databaseError } from './errors.ts';
import { Hosts } from './hosts.ts';
import { connectionOptions } from './options.ts';
import type { SessionTimes } from './session-variables.ts';
import { type Address, type MysqlLocation, parseMysqlUrl } from './url.ts';

export interface SessionLimits extends SessionTimes {
  /** Maximum number of connections. */
  connections: number;
  /** Longest wait for the answer to a statement, ms; 15,000 by default. */
  statementTimeoutMs?: number;
  /** See PoolLimits. */
  onlyReads?: boolean;
}

/** Rows of `query`: BIGINT and DECIMAL are strings, VARBINARY is a Buffer. */
export type Rows = RowDataPacket[];

const STATEMENT_TIMEOUT_MS = 15_000;

export class Database {
  readonly #hosts: Hosts;
  readonly #limits: SessionLimits;

  /**
   * @param onMove called with two addresses when another host of the URL takes over
   * @throws ConfigurationError if the URL is malformed or names no database
   */
  constructor(
    location: MysqlLocation,
    limits: SessionLimits,
    onMove: (from: string, to: string) => void = () => {},
  ) {
    const parsed = parseMysqlUrl(location);
    this.#limits = limits;
    const optionsOf = (address: Address) => connectionOptions(location, parsed, address);
    this.#hosts = new Hosts(parsed.hosts, optionsOf, limits, onMove);
  }

  /** HOST:PORT of the host in use, or of all hosts of the URL while none is in use. */
  get address(): string {
    return this.#hosts.address;
  }

  /** Runs one statement in its own session. @throws what mysql2 throws */
  async query(sql: string, values: unknown[] = []): Promise<Rows> {
    return this.session(connection => queryRows(connection, sql, values));
  }

  /**
   * Lends a session. After a failure it is closed rather than reused, since its state is not known.
   * @param own limits of this session only; it is closed afterwards
   */
  async session<Result>(
    use: (connection: PoolConnection) => Promise<Result>,
    own?: Partial<SessionTimes & Pick<SessionLimits, 'statementTimeoutMs'>>,
  ): Promise<Result> {
    const { connection: acquired, pool } = await this.#hosts.connection();
    const limits = { ...this.#limits, ...own };
    const connection = timed(acquired, limits.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS);
    try {
      await pool.setUp.prepare(connection, limits, own !== undefined);
      const result = await use(connection);
      if (own) connection.destroy();
      else connection.release();
      return result;
    } catch (error) {
      connection.destroy();
      this.#hosts.failed(pool, error);
      throw error;
    }
  }

  /**
   * Lends a session inside a transaction, which is committed when `use` returns. If `use` throws, the
   * transaction is rolled back and the session kept. If the rollback or the commit fails, the session is
   * closed, since its state is not known.
   * @param own as in `session`
   */
  async transaction<Result>(
    use: (connection: PoolConnection) => Promise<Result>,
    own?: Partial<SessionTimes>,
  ): Promise<Result> {
    const ended = await this.session(async connection => {
      try {
        return { result: await transactionIn(connection, use) };
      } catch (error) {
        if (!(error instanceof RolledBack)) throw error;
        return { error: error.cause };
      }
    }, own);
    if ('error' in ended) throw ended.error;
    return ended.result;
  }

  /** Does work of this database. @throws what `databaseError` makes of the error that the work throws */
  async explained<Result>(work: (database: this) => Promise<Result>): Promise<Result> {
    try {
      return await work(this);
    } catch (error) {
      throw databaseError(error, this.address);
    }
  }

  /** Never rejects: a connection that is lost meanwhile is closed too. */
  async close(): Promise<void> {
    await this.#hosts.close();
  }
}

/** A transaction that was rolled back for the error in `cause`; its session can be used again. */
class RolledBack extends Error {}

/** The error that a transaction was rolled back for, or any other error itself. */
export function causeOf(error: unknown): unknown {
  return error instanceof RolledBack ? error.cause : error;
}

/**
 * One transaction of a session that its caller keeps.
 * @throws RolledBack, or an error after which the state of the session is not known
 */
export async function transactionIn<Result>(
  connection: PoolConnection,
  use: (connection: PoolConnection) => Promise<Result>,
): Promise<Result> {
  await connection.query('START TRANSACTION');
  let result: Result;
  try {
    result = await use(connection);
  } catch (error) {
    // A lost or silent connection would not answer the rollback either.
    if (classifyDatabaseError(error) === 'unavailable') throw error;
    await connection.query('ROLLBACK').catch(() => {
      throw error;
    });
    throw new RolledBack('', { cause: error });
  }
  await connection.query('COMMIT');
  return result;
}

/**
 * Gives every statement a client-side timeout: a server that fell silent without closing its connections
 * would hold a flush, and its partition, until TCP gives up. After a timeout the outcome is unknown and the
 * session is destroyed.
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

/** Returns the first row. @throws AnswerMissingError if there is none, or what mysql2 throws */
export async function queryRow(
  connection: PoolConnection,
  sql: string,
  values: unknown[] = [],
): Promise<RowDataPacket> {
  const [row] = await queryRows(connection, sql, values);
  if (!row) throw new AnswerMissingError(sql.slice(0, 100));
  return row;
}

/** Reads an SQL file, removes its comments and fills in the numbers of `LIMITS`. */
export function readSql(file: URL): string {
  return readFileSync(file, 'utf8')
    .replace(/^--.*\n/gm, '')
    .replace(/\{LIMITS\.(\w+)\}/g, (_, name: string) => limitOf(name))
    .trim();
}

function limitOf(name: string): string {
  if (!Object.hasOwn(LIMITS, name)) throw new Error(`there is no limit ${name}`);
  return String(LIMITS[name as keyof typeof LIMITS]);
}

/**
 * Fills in the placeholders of statements, such as {table}. All are replaced in one pass, and by a function,
 * so that a name that looks like a placeholder or a replacement pattern stays as it is.
 */
export function fillSql<Statements extends Readonly<Record<string, string>>>(
  statements: Statements,
  parts: Readonly<Record<string, string | number>>,
): Statements {
  const fill = (text: string) => text.replace(/\{(\w+)\}/g, (_, part: string) => String(parts[part]));
  return Object.fromEntries(
    Object.entries(statements).map(([name, text]) => [name, fill(text)]),
  ) as Statements;
}

/** Doubles backticks, so that no configured name can end its quotes. */
export function quoteIdentifier(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}
