/** Reads and checks the server's version, and the format and number of partitions of the tables. */
import type { PoolConnection } from 'mysql2/promise';
import { DatabaseUnsuitableError, NewerFormatError, PartitionCountError } from '../errors.ts';
import { queryRow, queryRows } from './database.ts';

/** Version of the tables in MySQL. A process that finds a newer one refuses to start. */
export const FORMAT = 9;

/**
 * JSON_TABLE and the locking reads of Sluice need MySQL 8.0.19 or MariaDB 10.6.
 * @param version result of VERSION()
 * @throws DatabaseUnsuitableError
 */
export function checkVersion(version: string, address: string): void {
  const mariadb = /mariadb/i.test(version);
  const [major = 0, minor = 0, patch = 0] = version.split(/[.-]/).map(Number);
  const [needMajor, needMinor, needPatch] = mariadb ? [10, 6, 0] : [8, 0, 19];
  const enough = major - needMajor! || minor - needMinor! || patch - needPatch!;
  if (enough >= 0) return;
  throw new DatabaseUnsuitableError(
    `The database at ${address} is ${version}; Sluice needs MySQL 8.0.19 or newer, or MariaDB 10.6 or newer.`,
  );
}

/** @throws DatabaseUnsuitableError */
export async function checkServerVersion(connection: PoolConnection, address: string): Promise<void> {
  const row = await queryRow(connection, 'SELECT VERSION() AS version');
  checkVersion(String(row.version), address);
}

export interface Recorded {
  format?: number;
  partitions?: number;
}

export async function readMeta(connection: PoolConnection): Promise<Recorded> {
  const rows = await queryRows(connection, 'SELECT name, value FROM sluice_meta');
  return Object.fromEntries(rows.map(row => [String(row.name), Number(String(row.value))]));
}

/** @throws NewerFormatError, PartitionCountError */
export function checkRecorded(recorded: Recorded, partitions: number): void {
  if ((recorded.format ?? 0) > FORMAT) throw new NewerFormatError('The database', recorded.format!, FORMAT);
  if (recorded.partitions !== undefined && recorded.partitions !== partitions) {
    throw new PartitionCountError(partitions, recorded.partitions, 'the database');
  }
}
