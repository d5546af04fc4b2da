/** Brings the database's schema to this version's format: plain SQL files, under a lock, as often as one likes. */
import { readdirSync } from 'node:fs';
import type { PoolConnection } from 'mysql2/promise';
import { randomToken } from './clock.ts';
import { deploymentOf, nameDeployment } from './deployment.ts';
import {
  DatabaseUnsuitableError,
  NewerFormatError,
  NotMigratedError,
  PartitionCountError,
} from './errors.ts';
import { FORMAT } from './keys.ts';
import { MigrationLease } from './migration-lease.ts';
import { type Database, queryRow, queryRows, readSql } from './mysql.ts';
import { databaseError } from './mysql-errors.ts';

const FOLDER = new URL('./migrations/', import.meta.url);
/** Waits for tables that others use, and lets a large one be altered. */
const PATIENT = { metadataLockWaitSeconds: 60, statementTimeoutMs: 24 * 60 * 60 * 1000 };
const META =
  'CREATE TABLE IF NOT EXISTS sluice_meta (name VARBINARY(64) NOT NULL PRIMARY KEY, value VARBINARY(255) NOT NULL) ENGINE = InnoDB';

export interface MigrationReport {
  applied: string[];
  format: number;
  partitions: number;
}

/**
 * Applies the migrations that are missing and creates the watermark rows, in two sessions at a time.
 * @throws NewerFormatError, PartitionCountError, DatabaseUnavailableError, DatabaseUnsuitableError, AccessDeniedError
 */
export async function migrate(database: Database, partitions: number): Promise<MigrationReport> {
  try {
    await database.session(async connection => {
      await checkServerVersion(connection, database.place);
      await connection.query(META);
    }, PATIENT);
    const lease = await MigrationLease.take(database);
    let applied: string[];
    try {
      applied = await database.session(connection => migrateLocked(connection, lease, partitions), PATIENT);
    } finally {
      await lease.release();
    }
    await checkWritten(database, partitions);
    return { applied, format: FORMAT, partitions };
  } catch (error) {
    throw databaseError(error, database.place);
  }
}

async function migrateLocked(
  connection: PoolConnection,
  lease: MigrationLease,
  partitions: number,
): Promise<string[]> {
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
      lease.check();
      if (statement.trim() !== '') await run(connection, statement);
    }
    lease.check();
    await writeMeta(connection, 'format', version);
    applied.push(file);
  }
  lease.check();
  await writeMeta(connection, 'partitions', partitions);
  await nameDeployment(connection);
  for (let partition = 0; partition < partitions; partition++) {
    await connection.query(
      "INSERT IGNORE INTO sluice_partitions (partition_id, sequence, token, epoch, updated_at) VALUES (?, 0, '', ?, UTC_TIMESTAMP(3))",
      [partition, randomToken()],
    );
  }
  return applied;
}

/** Reads as any other process will what is about to be reported. @throws DatabaseUnsuitableError */
async function checkWritten(database: Database, partitions: number): Promise<void> {
  const { meta, found } = await database.session(async connection => ({
    meta: await readMeta(connection),
    found: await queryRow(
      connection,
      'SELECT COUNT(*) AS written FROM sluice_partitions WHERE partition_id < ?',
      [partitions],
    ),
  }));
  if (meta.format === FORMAT && meta.partitions === partitions && Number(found.written) === partitions)
    return;
  throw new DatabaseUnsuitableError(
    `The database at ${database.place} took the migration and does not show it: format ${meta.format ?? 'none'} of ${FORMAT}, ${found.written} partitions of ${partitions}. Look for a proxy in between that sends reads to another server, or undoes what is written.`,
  );
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
 * @param looks for commands that only look: nothing is written
 * @throws NotMigratedError, NewerFormatError, PartitionCountError, ConfigurationError, DatabaseUnavailableError,
 * AccessDeniedError
 */
export async function checkSchema(
  database: Database,
  partitions: number,
  namespace: string,
  looks = false,
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
  return deploymentOf(database, namespace, looks);
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
  const row = await queryRow(connection, 'SELECT VERSION() AS version');
  checkVersion(String(row.version), place);
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
