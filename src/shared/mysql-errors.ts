/** Errors from MySQL or MariaDB sorted by code into what to do about them, and turned into errors of Sluice. */
import {
  AccessDeniedError,
  DatabaseFailedError,
  DatabaseUnavailableError,
  DatabaseUnsuitableError,
  NotMigratedError,
  SluiceError,
} from './errors.ts';

/** What an error from MySQL means for a flush. */
export type DatabaseErrorClass = 'unavailable' | 'conflict' | 'refused' | 'other';

/** By error number or the code of mysql2 and the socket, never by message text. */
const ERROR_CLASSES: readonly [DatabaseErrorClass, ReadonlySet<number | string>][] = [
  [
    'unavailable',
    new Set<number | string>([
      1040,
      1047,
      1053,
      1077,
      1079,
      1158,
      1159,
      1160,
      1161,
      1180,
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
      3100,
      3168,
      3169,
      3796,
      3797,
      3798,
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
      'NO_WRITABLE_HOST',
      'NOT_WRITABLE',
    ]),
  ],
  ['conflict', new Set<number | string>([1205, 1213, 3572, 1020, 3101])],
  [
    'refused',
    new Set<number | string>([
      1048, 1062, 1216, 1264, 1265, 1364, 1366, 1406, 1411, 1452, 1644, 1690, 3140, 3155, 3157, 3158, 3819,
      4025, 4078,
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

/** Whether somebody else held a row's or a table's lock for longer than we wait: unlike a deadlock, he may hold it still. */
export function isLockWait(error: unknown): boolean {
  const { errno } = (error ?? {}) as { errno?: number };
  return errno === 1205 || errno === 3572;
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

const places = new WeakMap<object, string>();

/** Notes which host an error came from, for its message. Returns the error. */
export function blame<Thrown>(error: Thrown, place: string): Thrown {
  if (typeof error === 'object' && error !== null && !places.has(error)) places.set(error, place);
  return error;
}

/** Turns an error of mysql2 into one of ours where it has a meaning of its own; others come back as they are. */
export function databaseError(error: unknown, knownPlace: string): unknown {
  if (error instanceof SluiceError) return error;
  const place = places.get(Object(error)) ?? knownPlace;
  // Raised inside a login, and wrapped by it.
  const { cause } = (error ?? {}) as { cause?: unknown };
  if (cause instanceof SluiceError) return cause;
  const { errno = 0, code } = (error ?? {}) as { errno?: number; code?: string };
  if (isDeniedByDatabase(error)) return new AccessDeniedError('The database', place, { cause: error });
  if (errno === 1049)
    return new DatabaseUnsuitableError(
      `There is no database of the name in MYSQL_URL at ${place}; create it (CREATE DATABASE), then run sluice migrate.`,
      { cause: error },
    );
  if (errno === 1146) return notMigrated(error, place);
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
