// Tables hold texts as long as LIMITS allows. A longer text is an error: it is neither cut nor read as 0.

import { expect, it } from 'vitest';
import { LIMITS } from '../../src/shared/limits.ts';
import { ColdReader } from '../../src/shared/values/cold-read.ts';

import { checkTarget } from '../../src/shared/values/target-check.ts';
import { TargetTable } from '../../src/shared/values/target-table.ts';
import { openEngine } from '../support/engine.ts';

it('the columns are as long as the limits', async () => {
  const { database } = await openEngine({ partitions: 1 });
  const rows = await database.query(
    `SELECT CONCAT(TABLE_NAME, '.', COLUMN_NAME) AS name, CHARACTER_MAXIMUM_LENGTH AS length FROM information_schema.COLUMNS
     WHERE TABLE_SCHEMA = DATABASE()`,
  );
  const lengths = new Map(rows.map(row => [String(row.name), Number(row.length)]));
  const expected = {
    'sluice_counters.counter': LIMITS.name,
    'sluice_counters.counter_key': LIMITS.key,
    'sluice_accounts.program': LIMITS.name,
    'sluice_accounts.account': LIMITS.account,
    'sluice_entries.program': LIMITS.name,
    'sluice_entries.account': LIMITS.account,
    'sluice_entries.entry_id': LIMITS.id,
    'sluice_entries.reason': LIMITS.reason,
    'sluice_quarantine.name': LIMITS.name,
    'sluice_quarantine.item_key': Math.max(LIMITS.key, LIMITS.account),
    'sluice_quarantine.entry_id': LIMITS.id,
    'sluice_quarantine.error_code': LIMITS.code,
    'sluice_operations.operator': LIMITS.operator,
    'sluice_operations.reason': LIMITS.operator,
    'sluice_operations.address': LIMITS.address,
    'sluice_targets.name': LIMITS.name,
  };
  for (const [name, limit] of Object.entries(expected)) expect(lengths.get(name), name).toBe(limit);
});

it('a key that is too long for a statement is an error, not a value of 0', async () => {
  const { cold } = await openEngine({ partitions: 1 });
  for (const [kind, name, limit] of [
    ['c', 'views', LIMITS.key],
    ['p', 'loyalty', LIMITS.account],
  ] as const) {
    expect(await cold.load(0, [{ kind, name, key: 'k'.repeat(limit) }])).toEqual(['0']);
    await expect(cold.load(0, [{ kind, name, key: 'k'.repeat(limit + 1) }])).rejects.toMatchObject({
      code: 'DATABASE_ANSWER_MISSING',
    });
  }
});

it('a key that is too long for a mapped key column is an error, not a value of 0', async () => {
  const { database, own, keys, aligner } = await openEngine({ partitions: 1 });
  await database.query('CREATE TABLE pages (path VARBINARY(40) PRIMARY KEY, hits BIGINT NOT NULL)');
  await database.query("INSERT INTO pages VALUES ('a long path', 7)");
  const target = { table: 'pages', key: 'path', column: 'hits', missing: 'insert' } as const;
  const checked = await database.session(connection => checkTarget(connection, 'c', 'views', target));
  const [column] = checked.key.columns;
  const read = (sql: string) => {
    const columns = [{ ...column!, type: { ...column!.type, sql } }];
    const changed = { ...checked, key: { ...checked.key, columns } };
    const table = new TargetTable('c', 'views', target, changed);
    const tables = { of: () => table, mapped: () => target, floor: () => undefined };
    const cold = new ColdReader(own.redis, 'test', database, keys, tables, aligner);
    return cold.compare(0, [{ kind: 'c', name: 'views', key: 'a long path' }]);
  };
  expect(await read(column!.type.sql)).toMatchObject([{ expected: 7 }]);
  await expect(read('VARBINARY(4)')).rejects.toMatchObject({ code: 'DATABASE_ANSWER_MISSING' });
});

it('a batch with too long a text is not written', async () => {
  const engine = await openEngine({ partitions: 1 });
  const sluice = await engine.producer();
  await sluice.counter('views').increment('k');
  await sluice.points('loyalty').credit('a', 5, { id: '1' });
  const batch = (await engine.flight.claim(0))!;
  const key = 'k'.repeat(LIMITS.key + 1);
  const counters = batch.counters.map(sum => ({ ...sum, key, item: `views:${key}` }));
  const longIds = batch.entries.map(entry => ({ ...entry, id: 'i'.repeat(LIMITS.id + 1) }));
  for (const change of [{ counters }, { entries: longIds }])
    await expect(engine.store.commit({ ...batch, ...change })).rejects.toMatchObject({
      code: 'TEXT_TOO_LONG',
    });
  expect(await engine.database.query('SELECT * FROM sluice_counters')).toEqual([]);
  await engine.drain();
  expect(await engine.counterInMysql('views', 'k')).toBe(1);
});
