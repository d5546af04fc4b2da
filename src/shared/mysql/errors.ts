/** Classifies errors of MySQL and MariaDB by their codes, and turns them into errors of Sluice. */
import { tlsProblem } from '../connection-failure.ts';
import {
  AccessDeniedError,
  DatabaseFailedError,
  DatabaseUnavailableError,
  DatabaseUnsuitableError,
  NotMigratedError,
  SluiceError,
  TlsFailedError,
} from '../errors.ts';
import { CONFLICT, OTHER, REFUSED, SCHEMA, SESSION, TABLE, UNAVAILABLE } from './error-numbers.ts';

/** Meaning of an error of MySQL for a flush. */
export type DatabaseErrorClass = 'unavailable' | 'conflict' | 'refused' | 'other';

const numbersOf = (group: Readonly<Record<string, number>>): ReadonlySet<unknown> =>
  new Set(Object.values(group));

/** Codes of mysql2, of sockets and of the pool of Sluice. */
const CONNECTION_CODES = [
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
  'NO_WRITABLE_HOST',
  'NOT_WRITABLE',
];

/** By error number or code, never by message text. */
const ERROR_CLASSES: readonly [DatabaseErrorClass, ReadonlySet<unknown>][] = [
  ['unavailable', new Set<unknown>([...Object.values(UNAVAILABLE), ...CONNECTION_CODES])],
  ['conflict', numbersOf(CONFLICT)],
  ['refused', numbersOf(REFUSED)],
];

/** SQLSTATE classes that blame data: no data, data, constraint, CHECK OPTION, and SIGNAL. */
const DATA_STATES = new Set(['02', '22', '23', '44', '45']);
/** Exceptions: an ambiguous column, and two that any data causes in a session with a wrong character set. */
const NOT_DATA: ReadonlySet<unknown> = new Set([
  SCHEMA.ER_NON_UNIQ_ERROR,
  OTHER.ER_INVALID_JSON_TEXT_IN_PARAM,
  OTHER.ER_INVALID_JSON_CHARSET,
]);

/** Whether the server answered a statement with this error and kept the connection open. */
export function isServerError(error: unknown): boolean {
  const { errno, sqlState, fatal } = (error ?? {}) as { errno?: number; sqlState?: string; fatal?: boolean };
  return errno !== undefined && errno > 0 && /^[0-9A-Z]{5}$/.test(sqlState ?? '') && fatal !== true;
}

export function classifyDatabaseError(error: unknown): DatabaseErrorClass {
  const { errno, code, sqlState } = (error ?? {}) as { errno?: number; code?: string; sqlState?: string };
  // Checked before the number: a trigger's SIGNAL may carry any number, even that of an outage.
  if (isServerError(error) && DATA_STATES.has(sqlState!.slice(0, 2)) && !NOT_DATA.has(errno!))
    return 'refused';
  for (const [name, members] of ERROR_CLASSES) {
    if ((errno !== undefined && errno > 0 && members.has(errno)) || (code !== undefined && members.has(code)))
      return name;
  }
  // If mysql2 loses the connection in the middle, the error is fatal and may have none of the codes above.
  return (error as { fatal?: boolean } | undefined)?.fatal === true && !isDeniedByDatabase(error)
    ? 'unavailable'
    : 'other';
}

/** Whether a wait for a row or table lock timed out. Unlike after a deadlock, it may still be locked. */
export function isLockWait(error: unknown): boolean {
  const { errno } = (error ?? {}) as { errno?: number };
  const isWait = errno === CONFLICT.ER_LOCK_WAIT_TIMEOUT || errno === CONFLICT.ER_LOCK_NOWAIT;
  return isWait && classifyDatabaseError(error) === 'conflict';
}

const OF_SESSION = numbersOf(SESSION);
const OF_TABLE = numbersOf(TABLE);
const OF_SCHEMA = numbersOf(SCHEMA);

/** What an error of class `other` may blame: a `row`, the `schema`, or `nothing` of both. */
export function suspect(error: unknown): 'row' | 'schema' | 'nothing' {
  if (!isServerError(error) || classifyDatabaseError(error) !== 'other') return 'nothing';
  const { errno } = error as { errno: number };
  if (OF_SESSION.has(errno) || OF_TABLE.has(errno)) return 'nothing';
  return OF_SCHEMA.has(errno) ? 'schema' : 'row';
}

/** Whether an error says that a table currently takes no row: `whole` or `schema`. */
export function tableTrouble(error: unknown): 'whole' | 'schema' | undefined {
  if (!isServerError(error) || classifyDatabaseError(error) !== 'other') return undefined;
  const { errno } = error as { errno: number };
  if (OF_TABLE.has(errno)) return 'whole';
  return OF_SCHEMA.has(errno) ? 'schema' : undefined;
}

const DENIED: ReadonlySet<unknown> = new Set([
  SESSION.ER_ACCESS_DENIED_ERROR,
  SESSION.ER_ACCESS_DENIED_NO_PASSWORD_ERROR,
  TABLE.ER_DBACCESS_DENIED_ERROR,
  TABLE.ER_TABLEACCESS_DENIED_ERROR,
  TABLE.ER_COLUMNACCESS_DENIED_ERROR,
  TABLE.ER_SPECIFIC_ACCESS_DENIED_ERROR,
  TABLE.ER_PROCACCESS_DENIED_ERROR,
]);
function isDeniedByDatabase(error: unknown): boolean {
  return DENIED.has((error as { errno?: number }).errno);
}

/** Wrong password, a locked account, an expired password. */
const LOGIN_REFUSED: ReadonlySet<unknown> = new Set([
  SESSION.ER_ACCESS_DENIED_ERROR,
  SESSION.ER_ACCESS_DENIED_NO_PASSWORD_ERROR,
  SESSION.ER_MUST_CHANGE_PASSWORD,
  SESSION.ER_MUST_CHANGE_PASSWORD_LOGIN,
  SESSION.ER_ACCOUNT_HAS_BEEN_LOCKED,
  OTHER.ER_ACCOUNT_HAS_BEEN_LOCKED_MARIADB,
]);
export function isLoginRefused(error: unknown): boolean {
  return LOGIN_REFUSED.has((error as { errno?: number } | undefined)?.errno);
}

/** These have names although their SQLSTATE is one that a SIGNAL sets. */
const SIGNALLED: ReadonlySet<unknown> = new Set([
  REFUSED.ER_SP_FETCH_NO_DATA,
  REFUSED.ER_SIGNAL_NOT_FOUND,
  REFUSED.ER_SIGNAL_EXCEPTION,
]);

/** Stable name of a database error, for metrics, quarantine and logs: `ER_DATA_TOO_LONG` or `ERRNO_1234`. */
export function databaseErrorCode(error: unknown): string {
  const { code, errno, sqlState } = (error ?? {}) as { code?: string; errno?: number; sqlState?: string };
  // MariaDB's CHECK constraint; mysql2 only knows MySQL's meaning of the number.
  if (errno === REFUSED.ER_CONSTRAINT_FAILED) return 'ER_CONSTRAINT_FAILED';
  const isSignal = /^(45|02)/.test(sqlState ?? '') && !SIGNALLED.has(errno);
  // A number has no name if a SIGNAL set it, or if it has another meaning on MariaDB.
  if (isSignal || (errno !== undefined && errno >= 4000 && errno < 4300 && sqlState)) return `ERRNO_${errno}`;
  return code && /^[A-Z][A-Z0-9_]*$/.test(code) ? code : `ERRNO_${errno ?? 0}`;
}

const addresses = new WeakMap<object, string>();

/** Notes which host an error came from, for `databaseError`. Returns the error. */
export function cameFrom<Thrown>(error: Thrown, address: string): Thrown {
  if (typeof error === 'object' && error !== null && !addresses.has(error)) addresses.set(error, address);
  return error;
}

/** Turns an error of mysql2 into a Sluice error if it is known; returns others unchanged. */
export function databaseError(error: unknown, knownAddress: string): unknown {
  if (error instanceof SluiceError) return error;
  const address = addresses.get(Object(error)) ?? knownAddress;
  // Raised during a login, which wraps it.
  const { cause } = (error ?? {}) as { cause?: unknown };
  if (cause instanceof SluiceError) return cause;
  const { errno = 0, code } = (error ?? {}) as { errno?: number; code?: string };
  const problem = tlsProblem(error);
  if (problem) return new TlsFailedError('The database', address, problem, { cause: error });
  if (isDeniedByDatabase(error)) {
    // MySQL does not tell a user without rights whether a database exists.
    const reason =
      errno === TABLE.ER_DBACCESS_DENIED_ERROR
        ? 'there is no such database, or this user may not use it'
        : undefined;
    return new AccessDeniedError('The database', address, { cause: error, reason });
  }
  if (errno === TABLE.ER_BAD_DB_ERROR)
    return new DatabaseUnsuitableError(
      `The database that MYSQL_URL names does not exist at ${address}; create it (CREATE DATABASE), then run sluice migrate.`,
      { cause: error },
    );
  if (errno === SCHEMA.ER_NO_SUCH_TABLE) return notMigrated(error, address);
  const kind = classifyDatabaseError(error);
  // The loser of a conflict may retry, as after an outage.
  if (kind === 'unavailable' || kind === 'conflict')
    return new DatabaseUnavailableError(address, { cause: error });
  const fromDatabase =
    errno > 0 || (code !== undefined && (error as { sqlState?: string }).sqlState !== undefined);
  return fromDatabase ? new DatabaseFailedError(address, databaseErrorCode(error), { cause: error }) : error;
}

function notMigrated(error: unknown, address: string): SluiceError {
  return new NotMigratedError(`The database at ${address} has no Sluice schema`, { cause: error });
}
