// With a mark, each row of a condition moves once, whatever marking it changes, and whatever other runs copy.

import { expect, it } from 'vitest';
import type { SpecOptions } from '../../src/backfill/spec.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { backfill, crashAt } from '../support/backfill.ts';
import { Crash, type Engine, openEngine } from '../support/engine.ts';

const STEPS = ['recorded', 'sent', 'accepted', 'persisted'] as const;
const from = (more: Partial<SpecOptions> = {}): SpecOptions => {
  return { table: 't', key: 'id', value: 'n', to: 'views', mark: 'home', ...more };
};

/**
 * Ten rows with the ids and values 1 to 10; those with even ids are `vip`. Marking a row changes `changed_at` and, by a
 * trigger, `changes`.
 */
async function openRows(engine: Engine, key = 'PRIMARY KEY (id)'): Promise<void> {
  const { database } = engine;
  await database.query(
    `CREATE TABLE t (id INT NOT NULL, part INT NOT NULL, n INT NOT NULL, vip INT NOT NULL, changes INT NOT NULL DEFAULT 0,
     changed_at DATETIME NOT NULL DEFAULT '2020-01-01' ON UPDATE CURRENT_TIMESTAMP,
     home TINYINT NOT NULL DEFAULT 0, home2 TINYINT NOT NULL DEFAULT 0, ${key}) ENGINE = InnoDB`,
  );
  const rows = Array.from({ length: 10 }, (_, n) => `(${n + 1}, ${n % 2}, ${n + 1}, ${n % 2})`);
  await database.query(`INSERT INTO t (id, part, n, vip) VALUES ${rows.join(', ')}`);
  await database.query(
    'CREATE TRIGGER t_changes BEFORE UPDATE ON t FOR EACH ROW SET NEW.changes = OLD.changes + 1',
  );
}

/** What the counter holds, by id. */
async function copied(engine: Engine): Promise<Record<string, number>> {
  const rows = await engine.database.query(
    "SELECT counter_key, value FROM sluice_counters WHERE counter = 'views'",
  );
  return Object.fromEntries(rows.map(row => [String(row.counter_key), Number(row.value)]));
}

const ids = (...some: number[]) => Object.fromEntries(some.map(id => [String(id), id]));
const ALL = ids(1, 2, 3, 4, 5, 6, 7, 8, 9, 10);

/** Where each row is, by id. */
async function homes(engine: Engine): Promise<Record<string, number>> {
  const rows = await engine.database.query('SELECT id, home FROM t ORDER BY id');
  return Object.fromEntries(rows.map(row => [String(row.id), Number(row.home)]));
}

it.each([
  ['the mark itself', 't.home = 0 AND t.id > 2', ids(3, 4, 5, 6, 7, 8, 9, 10)],
  ['a column with ON UPDATE', "t.changed_at < '2021-01-01' AND t.id > 2", ids(3, 4, 5, 6, 7, 8, 9, 10)],
  ['such a column, for some of the rows', "t.changed_at < '2021-01-01' OR t.vip = 1", ALL],
  ['a column that a trigger changes, for some of the rows', 't.changes = 0 OR t.vip = 1 -- all', ALL],
])('a condition that marking changes, by %s', async (_, where, expected) => {
  const engine = await openEngine();
  await openRows(engine);
  await engine.worker();
  // Killed at each step of a page: what it has marked stays marked, or is not.
  for (const [at, step] of STEPS.entries())
    await expect(
      backfill(engine, 'r', from({ where }), { seam: crashAt(step, at === 0 ? 2 : 0) }),
      step,
    ).rejects.toThrow(Crash);
  const run = await backfill(engine, 'r', from({ where }));
  expect(await copied(engine)).toEqual(expected);
  const count = Object.keys(expected).length;
  expect(run.counts).toMatchObject({ passed: count, copied: count });
  expect(await homes(engine)).toEqual(
    Object.fromEntries(Object.keys(ALL).map(id => [id, id in expected ? 2 : 0])),
  );
});

it('such a condition over a key of several columns, in the order of its index', async () => {
  const definitions = {
    counters: {
      by_part: { target: { table: 'there', key: ['id', 'part'], column: 'n', missing: 'insert' } },
    },
  } as const;
  const engine = await openEngine();
  await openRows(engine, 'PRIMARY KEY (part, id)');
  await engine.database.query(
    'CREATE TABLE there (id INT NOT NULL, part INT NOT NULL, n INT NOT NULL DEFAULT 0, PRIMARY KEY (id, part)) ENGINE = InnoDB',
  );
  await engine.worker({}, {}, { definitions: parseDefinitions(definitions) });
  const options = from({ key: 'id,part', to: 'by_part', where: 't.changes = 0 OR t.vip = 1' });
  for (const step of ['accepted', 'recorded'] as const)
    await expect(
      backfill(engine, 'r', options, { definitions, seam: crashAt(step, 1) }),
      step,
    ).rejects.toThrow(Crash);
  expect((await backfill(engine, 'r', options, { definitions })).counts).toMatchObject({ copied: 10 });
  const rows = await engine.database.query('SELECT id, n FROM there ORDER BY id');
  expect(Object.fromEntries(rows.map(row => [String(row.id), Number(row.n)]))).toEqual(ALL);
  expect(new Set(Object.values(await homes(engine)))).toEqual(new Set([2]));
});

it('a run with a mark is refused if another run copies the same column without that mark', async () => {
  const engine = await openEngine();
  await openRows(engine);
  await engine.worker();
  const refused = { code: 'BACKFILL_REPEATED', message: expect.stringMatching(/backfill a copies/) };
  const unmarked: SpecOptions = { table: 't', key: 'id', value: 'n', to: 'views' };
  await expect(backfill(engine, 'a', unmarked, { seam: crashAt('persisted', 1) })).rejects.toThrow(Crash);
  const before = await homes(engine);
  await expect(backfill(engine, 'b', from())).rejects.toMatchObject(refused);
  await backfill(engine, 'a', unmarked);
  for (const mark of ['home', 'home2', 'HOME'])
    await expect(backfill(engine, 'b', from({ mark }))).rejects.toMatchObject(refused);
  expect(await homes(engine)).toEqual(before);
  expect(await copied(engine)).toEqual(ALL);
  // Rows that come later, of which an operator says so.
  await engine.database.query('INSERT INTO t (id, part, n, vip) VALUES (11, 0, 11, 0)');
  await backfill(engine, 'b', from({ where: 'id > 10' }), { again: true });
  expect(await copied(engine)).toEqual({ ...ALL, 11: 11 });
});

it('runs of the same mark copy the rows that are left; one of another mark is refused', async () => {
  const engine = await openEngine();
  await openRows(engine);
  await engine.worker();
  await backfill(engine, 'a', from({ where: 'id < 5' }));
  await expect(backfill(engine, 'b', from({ mark: 'home2' }))).rejects.toMatchObject({
    code: 'BACKFILL_REPEATED',
    message: expect.stringMatching(/backfill a copies/),
  });
  expect((await backfill(engine, 'b', from({ mark: 'HOME' }))).counts.copied).toBe(6);
  expect((await backfill(engine, 'c', from())).counts.passed).toBe(0);
  expect(await copied(engine)).toEqual(ALL);
});
