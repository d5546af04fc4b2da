// Updates that MySQL refuses are found in O(k log n) statements, and the same flush writes the rest.

import { expect, it } from 'vitest';
import type { Sluice } from '../../src/producer/client.ts';
import { type definitions, type Engine, openEngine } from '../support/engine.ts';
import { statements } from '../support/statements.ts';

type Update = Parameters<Sluice<typeof definitions>['apply']>[0][number];

const UPDATES = 1000;
const CULPRITS = [100, 500, 901];
/** The whole batch, then for each culprit two halves on each level. */
const ATTEMPTS = 1 + 2 * CULPRITS.length * (Math.ceil(Math.log2(UPDATES)) + 1);
/** Other statements of the two transactions, with those for the culprits found. */
const BESIDES = 40;

/** Applies all updates in calls small enough for their timeout on a slow machine. */
async function accepted(sluice: Sluice<typeof definitions>, update: (i: number) => Update) {
  for (let from = 0; from < UPDATES; from += 100) {
    const results = await sluice.apply(Array.from({ length: 100 }, (_, i) => update(from + i)));
    expect(results.filter(result => !result.ok)).toEqual([]);
  }
}

const count = async ({ database }: Engine, sql: string) => Number((await database.query(sql))[0]!.n);

it('three bad counters among a thousand are found', async () => {
  const engine = await openEngine({ partitions: 1 });
  const sluice = await engine.producer();
  for (const culprit of CULPRITS)
    await engine.database.query(
      "INSERT INTO sluice_counters VALUES ('views', ?, 9007199254740950, UTC_TIMESTAMP(3))",
      [`k${culprit}`],
    );
  await accepted(sluice, i => ({ counter: 'views', key: `k${i}`, by: 100 }));
  const seen = statements(engine);
  await engine.flusher.flush(0);
  const attempts = seen.filter(sql => sql.startsWith('INSERT INTO sluice_counters')).length;
  expect(attempts).toBeGreaterThan(CULPRITS.length);
  expect(attempts).toBeLessThanOrEqual(ATTEMPTS);
  // Each attempt is a savepoint, a statement and, if it fails, a rollback.
  expect(seen.length).toBeLessThanOrEqual(3 * ATTEMPTS + BESIDES);
  expect(await count(engine, 'SELECT COUNT(*) AS n FROM sluice_counters WHERE value = 100')).toBe(
    UPDATES - CULPRITS.length,
  );
  expect(await count(engine, 'SELECT COUNT(*) AS n FROM sluice_quarantine')).toBe(CULPRITS.length);
  expect((await engine.watermark(0)).sequence).toBe(1);
  expect(await engine.inspector.partition(0)).toMatchObject({ inFlight: 0, pendingUpdates: 0 });
});

it('three bad entries among a thousand are found', async () => {
  const engine = await openEngine({ partitions: 1 });
  const sluice = await engine.producer();
  await engine.database.query(
    `CREATE TRIGGER picky BEFORE INSERT ON sluice_entries FOR EACH ROW
     IF NEW.entry_id IN (${CULPRITS.join(',')}) THEN SIGNAL SQLSTATE '45000'; END IF`,
  );
  await accepted(sluice, i => ({ points: 'loyalty', account: `a${i}`, amount: 5, id: `${i}` }));
  const seen = statements(engine);
  await engine.flusher.flush(0);
  const attempts = seen.filter(sql => sql.startsWith('INSERT INTO sluice_entries')).length;
  expect(attempts).toBeGreaterThan(CULPRITS.length);
  expect(attempts).toBeLessThanOrEqual(ATTEMPTS);
  // Each attempt is a savepoint, balances added and read, the ledger rows and, if it fails, a rollback.
  expect(seen.length).toBeLessThanOrEqual(5 * ATTEMPTS + BESIDES);
  expect(await count(engine, 'SELECT COUNT(*) AS n FROM sluice_entries')).toBe(UPDATES - CULPRITS.length);
  expect(await count(engine, 'SELECT COUNT(*) AS n FROM sluice_accounts WHERE balance = 5')).toBe(
    UPDATES - CULPRITS.length,
  );
  expect(await count(engine, 'SELECT COUNT(*) AS n FROM sluice_quarantine')).toBe(CULPRITS.length);
  expect((await engine.watermark(0)).sequence).toBe(1);
  expect(await engine.inspector.partition(0)).toMatchObject({ inFlight: 0, pendingUpdates: 0 });
});
