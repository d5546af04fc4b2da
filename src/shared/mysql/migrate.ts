/** Migrates the database's schema to this version's format, by SQL files under a lock. It may be repeated. */
import { readdirSync } from 'node:fs';
import type { PoolConnection } from 'mysql2/promise';
import { randomToken } from '../clock.ts';
import { DatabaseUnsuitableError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { type Database, queryRow, readSql } from './database.ts';
import { nameDeployment } from './deployment.ts';
import { OTHER } from './error-numbers.ts';
import { MigrationLease } from './migration-lease.ts';
import { checkRecorded, checkServerVersion, FORMAT, readMeta } from './schema.ts';

const FOLDER = new URL('./migrations/', import.meta.url);
const FILES = readdirSync(FOLDER)
  .filter(name => name.endsWith('.sql'))
  .sort();
/** The number of a file is the format that it makes. The first one makes all tables. */
const FIRST = Number.parseInt(FILES[0]!, 10);
/** Long timeouts: tables may be in use, and altering a large one takes time. */
const PATIENT = { metadataLockWaitSeconds: 60, statementTimeoutMs: 24 * 60 * 60 * 1000 };
const META =
  'CREATE TABLE IF NOT EXISTS sluice_meta (name VARBINARY(64) NOT NULL PRIMARY KEY, value VARBINARY(255) NOT NULL) ENGINE = InnoDB';

export interface MigrationReport {
  applied: string[];
  format: number;
  partitions: number;
}

/**
 * Applies the missing migrations and creates the watermark rows. Uses two sessions at a time.
 * @throws NewerFormatError, PartitionCountError, DatabaseUnavailableError, DatabaseUnsuitableError,
 * AccessDeniedError
 */
export function migrate(database: Database, partitions: number): Promise<MigrationReport> {
  return database.explained(async () => {
    await database.session(async connection => {
      await checkServerVersion(connection, database.address);
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
  });
}

async function migrateLocked(
  connection: PoolConnection,
  lease: MigrationLease,
  partitions: number,
): Promise<string[]> {
  const recorded = await readMeta(connection);
  checkRecorded(recorded, partitions);
  const from = recorded.format ?? 0;
  if (from > 0 && from < FIRST) throw unreleased(from);
  const applied: string[] = [];
  for (const file of FILES) {
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

function unreleased(format: number): DatabaseUnsuitableError {
  return new DatabaseUnsuitableError(
    `The database has tables of format ${format}, which no release of Sluice wrote; this version migrates format ${FIRST} and later. Use a new database, or drop the tables whose names begin with "sluice_".`,
  );
}

/** Reads the result back in a new session, as other processes will. @throws DatabaseUnsuitableError */
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
    `The database at ${database.address} accepted the migration, but does not show it: format ${meta.format ?? 'none'} of ${FORMAT}, ${found.written} partitions of ${partitions}. Check whether a proxy sends reads to another server, or undoes writes.`,
  );
}

/** DDL commits implicitly: each statement must succeed again if an interrupted migration is repeated. */
async function run(connection: PoolConnection, statement: string): Promise<void> {
  await connection.query(statement).catch(error => {
    if (error.errno === OTHER.ER_TOO_LONG_KEY)
      throw new DatabaseUnsuitableError(
        `The database cannot index counter keys of ${LIMITS.key} bytes (${error.message}); use a server with innodb_page_size 16384 or more.`,
        { cause: error },
      );
    throw error;
  });
}

async function writeMeta(connection: PoolConnection, name: string, value: number): Promise<void> {
  await connection.query('REPLACE INTO sluice_meta (name, value) VALUES (?, ?)', [name, String(value)]);
}
