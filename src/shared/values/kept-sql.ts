/** SQL of the rules by which one of two values is kept, and the versions of values of which the last is kept. */
import type { PoolConnection } from 'mysql2/promise';
import { itemOf, ROW_KINDS, type ValueKind } from '../item.ts';
import { queryRows, readSql } from '../mysql/database.ts';
import { jsonParts } from '../mysql/statement-size.ts';

/** A condition: the value of row `j` replaces this one. */
export function replacesSql(kind: ValueKind, value: string, version: string): string {
  if (kind === '=') return `(j.version > ${version} OR (j.version = ${version} AND j.amount > ${value}))`;
  return `j.amount ${kind} ${value}`;
}

/** The value in quarantine that is kept, as the text of `keptText`, or null. */
export function quarantinedSql(kind: ValueKind): string {
  const from = `FROM sluice_quarantine q WHERE q.kind = '${ROW_KINDS[kind]}' AND q.name = j.name AND q.item_key = j.item_key`;
  if (kind === '=')
    return `(SELECT CONCAT(q.amount, '@', q.version) ${from} ORDER BY q.version DESC, q.amount DESC LIMIT 1)`;
  return `(SELECT ${kind === '>' ? 'MAX' : 'MIN'}(q.amount) ${from})`;
}

interface VersionedPut {
  readonly name: string;
  readonly key: string;
  readonly amount: number;
  readonly version?: number | undefined;
}

const NEWER = readSql(new URL('./sql/newer-values.sql', import.meta.url));

/**
 * Puts of `last` values that come too late: MySQL has the same one, or one that is kept instead. The caller holds the lock
 * of the partition's watermark, so nobody writes these values meanwhile.
 * @returns the rows that are superseded
 */
export async function superseded<Row extends VersionedPut>(
  connection: PoolConnection,
  rows: readonly Row[],
): Promise<Set<Row>> {
  const found = new Set<string>();
  for (const { json } of jsonParts(connection, rows, row => [row.name, row.key, row.version, row.amount]))
    for (const row of await queryRows(connection, NEWER, [json]))
      found.add(itemOf(String(row.name), String(row.item_key)));
  return new Set(rows.filter(({ name, key }) => found.has(itemOf(name, key))));
}
