/** Brings the database's schema to this version's format: plain SQL files, under a lock, as often as one likes. */
import { readdirSync } from 'node:fs';
import type { PoolConnection } from 'mysql2/promise';
import { randomToken } from './clock.ts';
import { deploymentOf, nameDeployment } from './deployment.ts';
import {
  DatabaseUnavailableError,
  DatabaseUnsuitableError,
  NewerFormatError,
  NotMigratedError,
  PartitionCountError,
} from './errors.ts';
import { FORMAT } from './keys.ts';
import { type Database, queryRows, readSql } from './mysql.ts';
import { databaseError } from './mysql-errors.ts';

const FOLDER = new URL('./migrations/', import.meta.url);
const LOCK_SECONDS = 60;
/** Hashed, since a lock's name may have 64 characters, and so may a database's. MySQL 9.7 has no SHA1 and no MD5. */
const LOCK = "CONCAT('sluice.', SHA2(DATABASE(), 224))";

export interface MigrationReport {
  applied: string[];
  format: number;
  partitions: number;
}

/**
 * Applies the migrations that are missing and creates the watermark rows.
 * @throws NewerFormatError, PartitionCountError, DatabaseUnavailableError, AccessDeniedError
 */
export async function migrate(database: Database, partitions: number): Promise<MigrationReport> {
  try {
    return await database.session(async connection => {
      await checkServerVersion(connection, database.place);
      await connection.query('SET SESSION wait_timeout = 600');
      const [lock] = await queryRows(connection, `SELECT GET_LOCK(${LOCK}, ?) AS taken`, [LOCK_SECONDS]);
      if (Number(lock?.taken) !== 1) {
        throw new DatabaseUnavailableError(`${database.place} (another migration holds the lock)`);
      }
      try {
        return await migrateLocked(connection, partitions);
      } finally {
        await connection.query(`DO RELEASE_LOCK(${LOCK})`);
      }
    });
  } catch (error) {
    throw databaseError(error, database.place);
  }
}

async function migrateLocked(connection: PoolConnection, partitions: number): Promise<MigrationReport> {
  await connection.query(
    'CREATE TABLE IF NOT EXISTS sluice_meta (name VARBINARY(64) NOT NULL PRIMARY KEY, value VARBINARY(255) NOT NULL) ENGINE = InnoDB',
  );
  const recorded = await readMeta(connection);
  checkRecorded(recorded, partitions);
  const from = recorded.format ?? 0;
  const applied: string[] = [];
  for (const file of readdirSync(FOLDER)
    .filter(name => name.endsWith('.sql'))
    .sort()) {
    const version = Number.parseInt(file, 10);
    if (version <= from) continue;
    for (const statement of readSql(new URL(file, FOLDER)).split(/;\s*$/m)) {
      if (statement.trim() !== '') await run(connection, statement);
    }
    await writeMeta(connection, 'format', version);
    applied.push(file);
  }
  await writeMeta(connection, 'partitions', partitions);
  await nameDeployment(connection);
  for (let partition = 0; partition < partitions; partition++) {
    await connection.query(
      "INSERT IGNORE INTO sluice_partitions (partition_id, sequence, token, epoch, updated_at) VALUES (?, 0, '', ?, UTC_TIMESTAMP(3))",
      [partition, randomToken()],
    );
  }
  return { applied, format: FORMAT, partitions };
}

const DUPLICATE_COLUMN = 1060;

/** DDL commits by itself: a migration that was cut off meets the columns that it had added. */
async function run(connection: PoolConnection, statement: string): Promise<void> {
  await connection.query(statement).catch(error => {
    if (error.errno !== DUPLICATE_COLUMN) throw error;
  });
}

/**
 * The check at start of every process other than `migrate`. Gives the deployment's name.
 * @throws NotMigratedError, NewerFormatError, PartitionCountError, ConfigurationError, DatabaseUnavailableError,
 * AccessDeniedError
 */
export async function checkSchema(
  database: Database,
  partitions: number,
  namespace: string,
): Promise<string> {
  let recorded: Recorded;
  try {
    recorded = await database.session(async connection => {
      await checkServerVersion(connection, database.place);
      return readMeta(connection);
    });
  } catch (error) {
    throw databaseError(error, database.place);
  }
  checkRecorded(recorded, partitions);
  if (recorded.format !== FORMAT) {
    throw new NotMigratedError(
      `The schema at ${database.place} has format ${recorded.format ?? 'none'}, this version needs ${FORMAT}`,
    );
  }
  return deploymentOf(database, namespace);
}

/**
 * JSON_TABLE and the locking reads of Sluice need MySQL 8.0.19 or MariaDB 10.6.
 * @param version what VERSION() answered
 * @throws DatabaseUnsuitableError
 */
export function checkVersion(version: string, place: string): void {
  const mariadb = /mariadb/i.test(version);
  const [major = 0, minor = 0, patch = 0] = version.split(/[.-]/).map(Number);
  const [needMajor, needMinor, needPatch] = mariadb ? [10, 6, 0] : [8, 0, 19];
  const enough = major - needMajor! || minor - needMinor! || patch - needPatch!;
  if (enough >= 0) return;
  throw new DatabaseUnsuitableError(
    `The database at ${place} is ${version}; Sluice needs MySQL 8.0.19 or newer, or MariaDB 10.6 or newer.`,
  );
}

async function checkServerVersion(connection: PoolConnection, place: string): Promise<void> {
  const [row] = await queryRows(connection, 'SELECT VERSION() AS version');
  checkVersion(String(row?.version), place);
}

interface Recorded {
  format?: number;
  partitions?: number;
}

async function readMeta(connection: PoolConnection): Promise<Recorded> {
  const rows = await queryRows(connection, 'SELECT name, value FROM sluice_meta');
  return Object.fromEntries(rows.map(row => [String(row.name), Number(String(row.value))]));
}

async function writeMeta(connection: PoolConnection, name: string, value: number): Promise<void> {
  await connection.query('REPLACE INTO sluice_meta (name, value) VALUES (?, ?)', [name, String(value)]);
}

function checkRecorded(recorded: Recorded, partitions: number): void {
  if ((recorded.format ?? 0) > FORMAT) throw new NewerFormatError('The database', recorded.format!, FORMAT);
  if (recorded.partitions !== undefined && recorded.partitions !== partitions) {
    throw new PartitionCountError(partitions, recorded.partitions, 'the database');
  }
}
