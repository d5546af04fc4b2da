/** Which table each counter and program uses. */
import type { Definitions } from './definitions.ts';
import type { Database } from './mysql.ts';
import { OwnTable, type ValueTables } from './tables.ts';

export async function openTables(_database: Database, _definitions: Definitions): Promise<ValueTables> {
  const own = { c: new OwnTable('c'), p: new OwnTable('p') };
  return { of: kind => own[kind] };
}
