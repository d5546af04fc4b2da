/** The keys in MySQL: which there are, what each may do, when it was last used. */
import * as z from 'zod';
import { ConfigurationError } from '../shared/errors.ts';
import { type Database, queryRow, queryRows, readSql } from '../shared/mysql/database.ts';
import { digestOf, makeKey } from './key-text.ts';

const SCOPES = ['read', 'write', 'operate'] as const;
export type Scope = (typeof SCOPES)[number];

/** What a key may do. */
export interface Rights {
  readonly scopes: readonly Scope[];
  /** Names of counters that it may use; undefined for all. */
  readonly counters?: readonly string[] | undefined;
  /** Names of programs that it may use; undefined for all. */
  readonly programs?: readonly string[] | undefined;
  /** Names of values that it may use; undefined for all. */
  readonly values?: readonly string[] | undefined;
  /** Requests a second in one process; undefined for the process's own limit, 0 for none. */
  readonly rate?: number | undefined;
}

export interface StoredKey extends Rights {
  readonly id: string;
  /** The application that uses the key. Two live keys may share a name, so that one can replace the other. */
  readonly name: string;
  readonly digest: Buffer;
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
  readonly lastUsedAt: Date | null;
}

const names = z.array(z.string().min(1).max(64)).max(1000);
const rightsSchema = z.object({
  scopes: z.array(z.enum(SCOPES)).min(1),
  counters: names.optional(),
  programs: names.optional(),
  values: names.optional(),
  rate: z.int().min(0).max(1_000_000).optional(),
});

const CREATE = readSql(new URL('./sql/create-key.sql', import.meta.url));
const USED = readSql(new URL('./sql/used-keys.sql', import.meta.url));
const LIVE = 'revoked_at IS NULL AND (expires_at IS NULL OR expires_at > UTC_TIMESTAMP(3))';
/** One to replace and one that replaces it. */
const LIVE_KEYS_OF_A_NAME = 2;

export class KeyStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * @returns the key, which nobody can read again
   * @throws ConfigurationError for wrong rights, or if the name has two live keys
   */
  async create(name: string, rights: Rights, expiresAt: Date | null): Promise<{ id: string; key: string }> {
    if (!/^[\w.-]{1,64}$/.test(name))
      throw new ConfigurationError('The name of a key must have 1 to 64 letters, digits, "_", "." and "-".');
    const checked = rightsSchema.safeParse(rights);
    if (!checked.success)
      throw new ConfigurationError(
        `The rights are not valid: ${checked.error.issues.map(issue => `${issue.path.join('.')}: ${issue.message}`).join('; ')}.`,
      );
    const { scopes, counters, programs, values } = checked.data;
    if (scopes.includes('operate') && (counters || programs || values))
      throw new ConfigurationError(
        'A key with the scope operate sees updates of all names; leave the names of counters, programs and values out, or the scope.',
      );
    const { id, secret, text } = makeKey();
    await this.#database.explained(() =>
      this.#database.transaction(async connection => {
        // Two commands at once may both succeed if the name has fewer keys: one more does no harm.
        const row = await queryRow(
          connection,
          `SELECT COUNT(*) AS live FROM sluice_keys WHERE name = ? AND ${LIVE}`,
          [name],
        );
        if (Number(row.live) >= LIVE_KEYS_OF_A_NAME)
          throw new ConfigurationError(
            `${name} has two live keys already, one to use and one to replace it; revoke the old one with "sluice keys revoke", then create another.`,
          );
        await connection.query(CREATE, [id, name, digestOf(secret), JSON.stringify(checked.data), expiresAt]);
      }),
    );
    return { id, key: text };
  }

  /** All keys, the newest first. */
  async list(): Promise<StoredKey[]> {
    const rows = await this.#database.explained(() =>
      this.#database.session(connection =>
        queryRows(connection, 'SELECT * FROM sluice_keys ORDER BY created_at DESC, id'),
      ),
    );
    return rows.map(row => ({
      id: String(row.id),
      name: String(row.name),
      digest: row.secret as Buffer,
      ...rightsOf(String(row.rights)),
      createdAt: row.created_at as Date,
      expiresAt: row.expires_at as Date | null,
      revokedAt: row.revoked_at as Date | null,
      lastUsedAt: row.last_used_at as Date | null,
    }));
  }

  /** @returns false if there is no such key. A key that was revoked before keeps its time. */
  async revoke(id: string): Promise<boolean> {
    return this.#database.explained(() =>
      this.#database.session(async connection => {
        await connection.query(
          'UPDATE sluice_keys SET revoked_at = UTC_TIMESTAMP(3) WHERE id = ? AND revoked_at IS NULL',
          [id],
        );
        const found = await queryRows(connection, 'SELECT 1 FROM sluice_keys WHERE id = ?', [id]);
        return found.length > 0;
      }),
    );
  }

  /** Records when keys were last used. A later time that another process has recorded stays. */
  async used(uses: ReadonlyMap<string, Date>): Promise<void> {
    for (const [id, at] of uses)
      await this.#database.explained(() => this.#database.query(USED, [at, at, id]));
  }
}

/** A row that somebody wrote by hand may hold anything; such a key may do nothing. */
function rightsOf(text: string): Rights {
  try {
    const parsed = rightsSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : { scopes: [] };
  } catch {
    return { scopes: [] };
  }
}

export function isLive({ revokedAt, expiresAt }: StoredKey, now: Date): boolean {
  return revokedAt === null && (expiresAt === null || expiresAt > now);
}
