/** Errors from MySQL or MariaDB sorted by code into what to do about them, and turned into errors of Sluice. */
import { tlsProblem } from './connection-failure.ts';
import {
  AccessDeniedError,
  DatabaseFailedError,
  DatabaseUnavailableError,
  DatabaseUnsuitableError,
  NotMigratedError,
  SluiceError,
  TlsFailedError,
} from './errors.ts';

/** What an error from MySQL means for a flush. */
export type DatabaseErrorClass = 'unavailable' | 'conflict' | 'refused' | 'other';

/** By error number or the code of mysql2 and the socket, never by message text. */
const ERROR_CLASSES: readonly [DatabaseErrorClass, ReadonlySet<number | string>][] = [
  [
    'unavailable',
    new Set<number | string>([
      1040,
      // Galera, before it is ready.
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
      // ProxySQL, without a server behind it.
      9001,
      9002,
      9004,
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
    // Most have a state of data as well, but not on every server: 1526 and 3819 are HY000, 1265 is 01000.
    new Set<number | string>([
      1048, 1062, 1118, 1172, 1216, 1242, 1264, 1265, 1292, 1329, 1339, 1365, 1366, 1369, 1406, 1411, 1452,
      1526, 1643, 1644, 1690, 1748, 3140, 3155, 3157, 3158, 3819, 4025, 4078,
    ]),
  ],
];

/** Classes of SQLSTATE that blame data: nothing found, data, constraint, CHECK OPTION, what a SIGNAL makes up. */
const DATA_STATES = new Set(['02', '22', '23', '44', '45']);
/** An ambiguous column, and two that a session with a wrong character set meets for any data, have a state of data. */
const NOT_DATA = new Set([1052, 3141, 3144]);

/** An error that the server sent in answer to a statement, over a connection that it did not close. */
export function isServerError(error: unknown): boolean {
  const { errno, sqlState, fatal } = (error ?? {}) as { errno?: number; sqlState?: string; fatal?: boolean };
  return errno !== undefined && errno > 0 && /^[0-9A-Z]{5}$/.test(sqlState ?? '') && fatal !== true;
}

export function classifyDatabaseError(error: unknown): DatabaseErrorClass {
  const { errno, code, sqlState } = (error ?? {}) as { errno?: number; code?: string; sqlState?: string };
  // Before the number: the SIGNAL of a trigger may carry any number, that of an outage too.
  if (isServerError(error) && DATA_STATES.has(sqlState!.slice(0, 2)) && !NOT_DATA.has(errno!))
    return 'refused';
  for (const [name, members] of ERROR_CLASSES) {
    if ((errno !== undefined && errno > 0 && members.has(errno)) || (code !== undefined && members.has(code)))
      return name;
  }
  // Where mysql2 lost the connection in the middle, it marks the error fatal without one of the codes above.
  return (error as { fatal?: boolean } | undefined)?.fatal === true && !isDeniedByDatabase(error)
    ? 'unavailable'
    : 'other';
}

/** Whether somebody else held a row's or a table's lock for longer than we wait: unlike a deadlock, he may hold it still. */
export function isLockWait(error: unknown): boolean {
  const { errno } = (error ?? {}) as { errno?: number };
  return (errno === 1205 || errno === 3572) && classifyDatabaseError(error) === 'conflict';
}

/** The session, the server or its resources: the same for every row, or for whichever row comes at that moment. */
const SESSION = new Set([
  // The login.
  1045, 1698, 1820, 1862, 3118,
  // The statement and the session.
  1046, 1064, 1099, 1100, 1104, 1115, 1149, 1153, 1156, 1175, 1193, 1207, 1223, 1231, 1568, 1785, 1786, 1787,
  // Memory and threads.
  1037, 1038, 1041, 1135, 1206, 1436, 1637,
  // Ended from outside, by a limit of time, or together with the transaction.
  1028, 1180, 1181, 1317, 1402, 1613, 1614, 1969, 3024,
]);
/** One table: the same for every row of it, but other tables may take rows meanwhile. */
const TABLE = new Set([
  // Rights, of ours or of a trigger's definer. They change in the middle of a transaction. A schema that was dropped.
  1044,
  1049, 1142, 1143, 1227, 1370, 1410, 1419, 1449,
  // Disk, tables that are full or read-only.
  1021, 1026, 1030, 1036, 1114,
  // What is broken in the storage engine.
  1015, 1016, 1017, 1033, 1034, 1035, 1194, 1195, 1712, 1812, 1813, 1814, 1815, 1932,
]);
/** Something is missing or does not fit. In the branch of a trigger that only some rows take, only those meet it. */
const SCHEMA = new Set([
  1051, 1052, 1054, 1058, 1072, 1109, 1136, 1146, 1176, 1222, 1241, 1305, 1318, 1356, 1364,
]);

/**
 * What an error that no list knows as data may be about: a `row`, or the `schema`, or `nothing` of both.
 * Only errors of class `other` need the question.
 */
export function suspect(error: unknown): 'row' | 'schema' | 'nothing' {
  if (!isServerError(error) || classifyDatabaseError(error) !== 'other') return 'nothing';
  const { errno } = error as { errno: number };
  if (SESSION.has(errno) || TABLE.has(errno)) return 'nothing';
  return SCHEMA.has(errno) ? 'schema' : 'row';
}

/** Whether an error says that a table takes no row as it is, rather than anything about rows: `whole` or `schema`. */
export function tableTrouble(error: unknown): 'whole' | 'schema' | undefined {
  if (!isServerError(error) || classifyDatabaseError(error) !== 'other') return undefined;
  const { errno } = error as { errno: number };
  if (TABLE.has(errno)) return 'whole';
  return SCHEMA.has(errno) ? 'schema' : undefined;
}

const DENIED = new Set([1044, 1045, 1142, 1143, 1227, 1370, 1698]);
function isDeniedByDatabase(error: unknown): boolean {
  return DENIED.has((error as { errno?: number }).errno ?? 0);
}

/** Wrong password, a locked account, an expired password. */
const LOGIN_REFUSED = new Set([1045, 1698, 1820, 1862, 3118, 4151]);
export function isLoginRefused(error: unknown): boolean {
  return LOGIN_REFUSED.has((error as { errno?: number } | undefined)?.errno ?? 0);
}

/** Short stable name of a database error, for metrics, quarantine and logs: `ER_DATA_TOO_LONG` or `ERRNO_1234`. */
export function databaseErrorCode(error: unknown): string {
  const { code, errno, sqlState } = (error ?? {}) as { code?: string; errno?: number; sqlState?: string };
  // MariaDB's CHECK; mysql2 knows only what MySQL means by the number.
  if (errno === 4025) return 'ER_CONSTRAINT_FAILED';
  const isSignal = /^(45|02)/.test(sqlState ?? '') && ![1329, 1643, 1644].includes(errno ?? 0);
  // A number that a SIGNAL chose, or that means something else on MariaDB, has no name.
  if (isSignal || (errno !== undefined && errno >= 4000 && errno < 4300 && sqlState)) return `ERRNO_${errno}`;
  return code && /^[A-Z][A-Z0-9_]*$/.test(code) ? code : `ERRNO_${errno ?? 0}`;
}

const places = new WeakMap<object, string>();

/** Notes which host an error came from, for its message. Returns the error. */
export function cameFrom<Thrown>(error: Thrown, place: string): Thrown {
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
  const problem = tlsProblem(error);
  if (problem) return new TlsFailedError('The database', place, problem, { cause: error });
  if (isDeniedByDatabase(error)) {
    // To a user without rights to it, MySQL does not tell whether a database exists.
    const reason = errno === 1044 ? 'there is no such database, or not for this user' : undefined;
    return new AccessDeniedError('The database', place, { cause: error, reason });
  }
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
