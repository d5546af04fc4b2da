/** The console's users in MySQL, which `sluice users` makes. What changes one ends all of the user's logins. */
import type { PoolConnection } from 'mysql2/promise';
import { ConfigurationError } from '../shared/errors.ts';
import { type Database, queryRows } from '../shared/mysql/database.ts';
import type { Role } from '../shared/roles.ts';
import { checkPassword, matches, storedPassword } from './passwords.ts';

export interface User {
  readonly name: string;
  readonly role: Role;
  readonly createdAt: Date;
  readonly lastLoginAt: Date | null;
  /** Logins that have not ended. */
  readonly logins: number;
}

/** What a login has proved: the user with this password, as it is stored. */
export interface ProvedUser {
  readonly name: string;
  readonly stored: string;
}

/** Also an e-mail address. Capitals are refused, so that no two names look alike. */
const NAME = /^[a-z0-9][a-z0-9._@+-]{0,63}$/;

const LIST = `SELECT name, role, created_at, last_login_at,
    (SELECT COUNT(*) FROM sluice_sessions AS login
     WHERE login.name = user.name AND login.expires_at > UTC_TIMESTAMP(3)) AS logins
  FROM sluice_users AS user ORDER BY name`;

export class Users {
  readonly #database: () => Database;

  /** @param database may throw while it is not open */
  constructor(database: () => Database) {
    this.#database = database;
  }

  /** @throws ConfigurationError for a wrong name or password, or if there is such a user */
  async add(name: string, role: Role, password: string): Promise<void> {
    if (!NAME.test(name))
      throw new ConfigurationError(
        'The name of a user must have 1 to 64 lower-case letters, digits, ".", "_", "@", "+" and "-", and begin with a letter or digit.',
      );
    checkPassword(password, name);
    const stored = await storedPassword(password);
    await this.#change(name, async (connection, user) => {
      if (user)
        throw new ConfigurationError(
          `There is a user ${name} already; change it with "sluice users password" or "sluice users role".`,
        );
      await connection.query(
        'INSERT INTO sluice_users (name, role, password, created_at) VALUES (?, ?, ?, UTC_TIMESTAMP(3))',
        [name, role, stored],
      );
    });
  }

  /** By name. */
  async list(): Promise<User[]> {
    const rows = await this.#database().explained(database => database.query(LIST));
    return rows.map(row => ({
      name: String(row.name),
      role: row.role as Role,
      createdAt: row.created_at as Date,
      lastLoginAt: row.last_login_at as Date | null,
      logins: Number(row.logins),
    }));
  }

  /** @returns whether there is such a user */
  setRole(name: string, role: Role): Promise<boolean> {
    return this.#change(name, connection =>
      connection.query('UPDATE sluice_users SET role = ? WHERE name = ?', [role, name]),
    );
  }

  /** @returns whether there is such a user @throws ConfigurationError for a wrong password */
  async setPassword(name: string, password: string): Promise<boolean> {
    checkPassword(password, name);
    const stored = await storedPassword(password);
    return this.#change(name, connection =>
      connection.query('UPDATE sluice_users SET password = ? WHERE name = ?', [stored, name]),
    );
  }

  /** @returns whether there was such a user */
  remove(name: string): Promise<boolean> {
    return this.#change(name, connection =>
      connection.query('DELETE FROM sluice_users WHERE name = ?', [name]),
    );
  }

  /**
   * Ends all logins of a name, also of one that OpenID Connect has logged in.
   * @returns how many
   */
  endLogins(name: string): Promise<number> {
    return this.#database().explained(database =>
      database.transaction(async connection => {
        const logins = await queryRows(
          connection,
          'SELECT token FROM sluice_sessions WHERE name = ? AND expires_at > UTC_TIMESTAMP(3) FOR UPDATE',
          [name],
        );
        await connection.query('DELETE FROM sluice_sessions WHERE name = ?', [name]);
        return logins.length;
      }),
    );
  }

  /**
   * Takes the same time whether there is such a user or not.
   * @returns undefined if there is no such user, or another password
   */
  async check(given: string, password: string): Promise<ProvedUser | undefined> {
    const name = given.toLowerCase();
    const [row] = await this.#database().explained(database =>
      database.query('SELECT password FROM sluice_users WHERE name = ?', [name]),
    );
    const stored = row === undefined ? undefined : String(row.password);
    return (await matches(password, stored)) ? { name, stored: stored! } : undefined;
  }

  /**
   * Changes a user under its lock and ends its logins. A login takes the same lock (`Sessions.open`), so none with
   * the old password comes after it.
   */
  #change(
    name: string,
    change: (connection: PoolConnection, user: boolean) => Promise<unknown>,
  ): Promise<boolean> {
    return this.#database().explained(database =>
      database.transaction(async connection => {
        const found = await queryRows(connection, 'SELECT 1 FROM sluice_users WHERE name = ? FOR UPDATE', [
          name,
        ]);
        await change(connection, found.length > 0);
        await connection.query('DELETE FROM sluice_sessions WHERE name = ?', [name]);
        return found.length > 0;
      }),
    );
  }
}
