/**
 * Logins: an opaque random token in the browser's cookie, and its SHA-256 in MySQL.
 *
 * A login counts while its row is there, and its user with the password and role that it was opened with. So
 * what ends it ends it in all processes: each reads the rows anew when it is asked and has not read them for two
 * seconds. While MySQL is away, the logins that a process knows stay valid until they expire.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { PoolConnection } from 'mysql2/promise';
import type { Logger } from 'pino';
import { pause, within } from '../shared/clock.ts';
import { DatabaseUnavailableError } from '../shared/errors.ts';
import { type Database, queryRow, queryRows, readSql } from '../shared/mysql/database.ts';
import type { Role } from '../shared/roles.ts';
import type { ProvedUser } from './users.ts';

export interface Session {
  readonly name: string;
  readonly role: Role;
  /** Whether OpenID Connect logged it in. */
  readonly isOpenId: boolean;
}

/** A user whom OpenID Connect has authenticated. */
export interface OpenIdUser {
  readonly name: string;
  readonly role: Role;
}

interface Known extends Session {
  /** On the clock of `performance.now()`. */
  readonly until: number;
}

interface State {
  /** When its read began, on the clock of `performance.now()`. */
  readonly readAt: number;
  readonly users: number;
  /** By digest, in hexadecimal digits. */
  readonly sessions: Map<string, Known>;
}

const READ = readSql(new URL('./sql/read-sessions.sql', import.meta.url));
const OLDEST = readSql(new URL('./sql/oldest-sessions.sql', import.meta.url));
const OPEN = `INSERT INTO sluice_sessions (token, name, role, created_at, expires_at)
  VALUES (?, ?, ?, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3) + INTERVAL ? MICROSECOND)`;

const TOKEN = /^[\w-]{43}$/;
const TOKEN_BYTES = 32;
const FRESH_MS = 2000;
/** Reads for unknown tokens begin at most this often: anyone can make tokens up. */
const UNKNOWN_MS = 500;
/** A read that takes longer goes on, and what is known counts. */
const PATIENCE_MS = 1000;
/** A browser that never logs out leaves them behind. */
const SESSIONS_OF_A_NAME = 10;
const EXPIRED_AT_ONCE = 1000;

export class Sessions {
  readonly #database: () => Database;
  readonly #log: Logger;
  #state: State | undefined;
  #read: Promise<void> | undefined;
  /** When the last read began, whether it succeeded or not. */
  #triedAt = Number.NEGATIVE_INFINITY;
  #error: Error | undefined;
  /** A read for unknown tokens that has not begun, so that all who ask by now may share it. */
  #nextLook: Promise<void> | undefined;

  /** @param database may throw while it is not open */
  constructor(database: () => Database, log: Logger) {
    this.#database = database;
    this.#log = log;
  }

  /**
   * How many users there are.
   * @param patienceMs how long it waits for a slow MySQL
   * @throws DatabaseUnavailableError and others if that was never read
   */
  async users(patienceMs?: number): Promise<number> {
    return (await this.#fresh(patienceMs)).users;
  }

  /** @throws DatabaseUnavailableError and others if it is not known, and MySQL cannot say */
  async find(token: string): Promise<Session | undefined> {
    if (!TOKEN.test(token)) return undefined;
    const digest = digestOf(token);
    const askedAt = performance.now();
    const found = live((await this.#fresh()).sessions.get(digest.toString('hex')));
    if (found) return found;
    // Another process may have opened it a moment ago.
    this.#nextLook ??= this.#lookSoon();
    await this.#nextLook;
    const { readAt, sessions } = this.#state!;
    if (readAt < askedAt) throw this.#error ?? new DatabaseUnavailableError(this.#database().address);
    return live(sessions.get(digest.toString('hex')));
  }

  /**
   * Opens a login for a user whose password was checked, or whom OpenID Connect has authenticated.
   * @returns its token; undefined if the user was changed meanwhile, or if the name of an authenticated one is that
   * of a user of this console
   */
  async open(user: ProvedUser | OpenIdUser, ms: number): Promise<string | undefined> {
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    const isOpened = await this.#database().explained(database =>
      database.transaction(async connection => {
        if (!(await isStill(connection, user))) return false;
        await connection.query('DELETE FROM sluice_sessions WHERE expires_at <= UTC_TIMESTAMP(3) LIMIT ?', [
          EXPIRED_AT_ONCE,
        ]);
        await connection.query(OLDEST, [user.name, user.name, SESSIONS_OF_A_NAME - 2]);
        const role = 'role' in user ? user.role : null;
        await connection.query(OPEN, [digestOf(token), user.name, role, ms * 1000]);
        await connection.query('UPDATE sluice_users SET last_login_at = UTC_TIMESTAMP(3) WHERE name = ?', [
          user.name,
        ]);
        return true;
      }),
    );
    if (!isOpened) return undefined;
    await this.#readAnew();
    return token;
  }

  /** Ends one login. */
  async end(token: string): Promise<void> {
    if (!TOKEN.test(token)) return;
    await this.#database().explained(database =>
      database.query('DELETE FROM sluice_sessions WHERE token = ?', [digestOf(token)]),
    );
    await this.#readAnew();
  }

  /** Ends all logins of a name. */
  async endAll(name: string): Promise<void> {
    await this.#database().explained(database =>
      database.query('DELETE FROM sluice_sessions WHERE name = ?', [name]),
    );
    await this.#readAnew();
  }

  /** What was read at most two seconds ago, or last if MySQL does not answer. */
  async #fresh(patienceMs = PATIENCE_MS): Promise<State> {
    if (performance.now() - this.#triedAt >= FRESH_MS) this.#refresh();
    if (this.#read) await within(this.#read, patienceMs);
    if (!this.#state) throw this.#error ?? new DatabaseUnavailableError(this.#database().address);
    return this.#state;
  }

  async #lookSoon(): Promise<void> {
    await pause(Math.max(0, this.#triedAt + UNKNOWN_MS - performance.now()));
    this.#nextLook = undefined;
    await this.#readAnew();
  }

  /** A read that runs already may have begun before a change. */
  async #readAnew(): Promise<void> {
    const before = this.#read;
    await within(
      (before ?? Promise.resolve()).then(() => this.#refresh()),
      PATIENCE_MS,
    );
  }

  /** All that ask at once share one read. Never rejects. */
  #refresh(): Promise<void> {
    this.#read ??= this.#readState().finally(() => {
      this.#read = undefined;
    });
    return this.#read;
  }

  async #readState(): Promise<void> {
    const readAt = performance.now();
    this.#triedAt = readAt;
    try {
      this.#state = await this.#database().explained(database =>
        database.session(async connection => {
          const { users } = await queryRow(connection, 'SELECT COUNT(*) AS users FROM sluice_users');
          const rows = await queryRows(connection, READ);
          return { readAt, users: Number(users), sessions: new Map(rows.map(row => knownOf(row, readAt))) };
        }),
      );
      this.#error = undefined;
    } catch (error) {
      this.#error = error as Error;
      this.#log.warn({ err: error }, 'the logins could not be read; the ones that are known stay valid');
    }
  }
}

/** Locks the user, so that a change of it comes before this login or ends it. */
async function isStill(connection: PoolConnection, user: ProvedUser | OpenIdUser): Promise<boolean> {
  // Names of users are in lower case, and those that only look like them are not theirs.
  const [row] = await queryRows(connection, 'SELECT password FROM sluice_users WHERE name = ? FOR UPDATE', [
    user.name.toLowerCase(),
  ]);
  return 'stored' in user ? row?.password === user.stored : row === undefined;
}

function knownOf(row: Record<string, unknown>, readAt: number): [string, Known] {
  const session = {
    name: String(row.name),
    role: row.role as Role,
    isOpenId: Number(row.is_openid) === 1,
    until: readAt + Number(row.left_ms),
  };
  return [(row.token as Buffer).toString('hex'), session];
}

function live(known: Known | undefined): Session | undefined {
  return known && known.until > performance.now() ? known : undefined;
}

/** The token is random, so that no slow hash is needed. */
function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
