// What MySQL refused lately is tried apart from the rest: so a batch with many refused rows needs few statements, and
// nothing is put aside without a try.

import { expect, it } from 'vitest';
import { type Engine, openEngine } from '../support/engine.ts';
import { statements } from '../support/statements.ts';
import { insertAside } from '../support/transfer-rows.ts';
import { expectZero, inTransit } from '../support/transfers.ts';

const ALL = 400;
const BAD = 28;
/** Accounts and keys, of which those named "bad" are refused. */
const NAMES = Array.from({ length: ALL }, (_, n) => ((n * 79) % ALL < BAD ? `bad${n}` : `to${n}`));
const REFUSED = NAMES.filter(name => name.startsWith('bad'));
const bytes = (text: string) => Buffer.from(text);

/** For each refused row: the balance added and read, the ledger row, a rollback. */
const SINGLE = 4;
/** Locks, journal, watermark, the rest of the batch at once, the search for the first refused one. */
const BESIDES = 60;

async function refuseBad({ database }: Engine) {
  await database.query(
    "CREATE TRIGGER bad_entries BEFORE INSERT ON sluice_entries FOR EACH ROW IF NEW.account LIKE 'bad%' AND NEW.amount > 0 THEN SIGNAL SQLSTATE '45000'; END IF",
  );
  await database.query(
    "CREATE TRIGGER bad_counters BEFORE INSERT ON sluice_counters FOR EACH ROW IF NEW.counter_key LIKE 'bad%' THEN SIGNAL SQLSTATE '45000'; END IF",
  );
  return async () => {
    for (const name of ['bad_entries', 'bad_counters']) await database.query(`DROP TRIGGER ${name}`);
  };
}

/** Sends a credit to each account; the next flush has them in one batch. */
async function sendCredits(engine: Engine, round: string) {
  const rows = NAMES.map((to, n) => ({ transfer: `${round}${n}`, from: 'source', to, amount: 5 }));
  await insertAside(engine.database, engine.keys, rows);
  await engine.database.query(
    "UPDATE sluice_transfers SET state = 'open', error_code = NULL, driven_at = UTC_TIMESTAMP(3) - INTERVAL 1 HOUR WHERE transfer LIKE ?",
    [bytes(`${round}%`)],
  );
  await engine.driver(undefined, 1_800_000).once();
}

/** Statements of the next flush. */
async function flush(engine: Engine, seen: string[]) {
  seen.length = 0;
  await engine.drain();
  return seen.length;
}

const balances = async ({ database }: Engine) =>
  new Map(
    (await database.query("SELECT account, balance FROM sluice_accounts WHERE account <> 'source'")).map(
      row => [String(row.account), Number(row.balance)],
    ),
  );

it('400 credits, 28 of them refused: found once, then tried apart, then written when mended', {
  timeout: 180_000,
}, async () => {
  const engine = await openEngine({ partitions: 1 });
  const mend = await refuseBad(engine);
  const seen = statements(engine);
  // Credits are only sent to a partition that Redis knows.
  await (await engine.producer()).points('loyalty').credit('source', 1, { id: 'start' });
  await engine.drain();

  await sendCredits(engine, 'a');
  const first = await flush(engine, seen);
  expect(first).toBeLessThan(1200);
  expect((await inTransit(engine)).map(({ to }) => to).toSorted()).toEqual(REFUSED.toSorted());

  await sendCredits(engine, 'b');
  const second = await flush(engine, seen);
  expect(second).toBeLessThanOrEqual(BAD * SINGLE + BESIDES);
  expect(second).toBeLessThan(first / 4);
  const aside = await inTransit(engine);
  expect(aside.filter(({ state, code }) => state === 'aside' && code === 'ER_SIGNAL_EXCEPTION')).toHaveLength(
    2 * BAD,
  );
  expect(await balances(engine)).toEqual(
    new Map(NAMES.filter(name => !REFUSED.includes(name)).map(name => [name, 10])),
  );

  await mend();
  await sendCredits(engine, 'c');
  expect(await flush(engine, seen)).toBeLessThan(BESIDES);
  expect(await inTransit(engine)).toHaveLength(2 * BAD);
  expect(await balances(engine)).toEqual(new Map(NAMES.map(name => [name, name.startsWith('bad') ? 5 : 15])));
  await expectZero(engine);

  // They passed, so the next batch is tried as a whole again.
  await sendCredits(engine, 'd');
  await flush(engine, seen);
  expect(seen.filter(sql => sql.includes('SAVEPOINT'))).toEqual([]);
});

it('the same for counters and entries: each refused one is in quarantine once, with its code', {
  timeout: 180_000,
}, async () => {
  const engine = await openEngine({ partitions: 1 });
  const mend = await refuseBad(engine);
  const seen = statements(engine);
  const sluice = await engine.producer();
  const send = async (round: number) => {
    const views = NAMES.map(key => ({ counter: 'views' as const, key, by: round }));
    const credits = NAMES.map(account => ({
      ...{ points: 'loyalty' as const, account, amount: round, id: `round ${round}` },
    }));
    for (const updates of [views, credits]) await sluice.apply(updates);
  };
  await send(1);
  const first = await flush(engine, seen);
  await send(2);
  const second = await flush(engine, seen);
  // A counter is a statement and a rollback.
  expect(second).toBeLessThanOrEqual(BAD * (SINGLE + 2) + 2 * BESIDES);
  expect(second).toBeLessThan(first / 4);
  expect(seen.filter(sql => sql.includes('INTO sluice_quarantine'))).toHaveLength(2);

  await mend();
  await send(4);
  expect(await flush(engine, seen)).toBeLessThan(2 * BESIDES);
  const rows = await engine.database.query(
    'SELECT kind, item_key, amount, entry_id, error_code, cause, sequence FROM sluice_quarantine ORDER BY id',
  );
  const shown = rows.map(row => `${row.sequence} ${row.kind} ${row.item_key} ${row.amount} ${row.entry_id}`);
  expect(shown.toSorted()).toEqual(
    [1, 2]
      .flatMap(round => [
        ...REFUSED.map(key => `${round} counter ${key} ${round} null`),
        ...REFUSED.map(key => `${round} entry ${key} ${round} round ${round}`),
      ])
      .toSorted(),
  );
  expect(new Set(rows.map(row => `${row.error_code} ${row.cause}`))).toEqual(
    new Set(['ER_SIGNAL_EXCEPTION refused']),
  );
  for (const name of [REFUSED[0]!, 'to1'])
    expect([
      await engine.counterInMysql('views', name),
      await engine.balanceInMysql('loyalty', name),
    ]).toEqual(name === 'to1' ? [7, 7] : [4, 4]);
});

it('the entries of a suspect keep their order, and only the refused one is put aside', async () => {
  const engine = await openEngine({ partitions: 1 });
  await engine.database.query(
    "CREATE TRIGGER bad_ids BEFORE INSERT ON sluice_entries FOR EACH ROW IF NEW.entry_id LIKE 'bad%' THEN SIGNAL SQLSTATE '45000'; END IF",
  );
  const points = (await engine.producer()).points('loyalty');
  for (const round of [1, 2]) {
    await points.credit('a', 10, { id: `first ${round}` });
    await points.credit('b', 1, { id: `other ${round}` });
    await points.credit('a', 100, { id: `bad ${round}` });
    await points.debit('a', 7, { id: `last ${round}` });
    await engine.drain();
  }
  const rows = await engine.database.query(
    "SELECT entry_id, balance_after FROM sluice_entries WHERE account = 'a' ORDER BY ledger_no",
  );
  expect(rows.map(row => `${row.entry_id}: ${row.balance_after}`)).toEqual([
    ...['first 1: 10', 'last 1: 3', 'first 2: 13', 'last 2: 6'],
  ]);
  expect(await engine.balanceInMysql('loyalty', 'b')).toBe(2);
  const aside = await engine.database.query('SELECT entry_id FROM sluice_quarantine ORDER BY id');
  expect(aside.map(row => String(row.entry_id))).toEqual(['bad 1', 'bad 2']);
});

it('a new bad row beside suspects is found too', async () => {
  const engine = await openEngine({ partitions: 1 });
  await refuseBad(engine);
  const points = (await engine.producer()).points('loyalty');
  await Promise.all(['bad1', 'to1'].map(account => points.credit(account, 1, { id: 'a' })));
  await engine.drain();
  const names = ['to1', 'bad2', 'to2', 'bad1', 'to3'];
  await Promise.all(names.map(account => points.credit(account, 1, { id: 'b' })));
  await engine.drain();
  const aside = await engine.database.query('SELECT item_key FROM sluice_quarantine ORDER BY item_key');
  expect(aside.map(row => String(row.item_key))).toEqual(['bad1', 'bad1', 'bad2']);
  expect(await balances(engine)).toEqual(
    new Map([
      ['to1', 2],
      ['to2', 1],
      ['to3', 1],
    ]),
  );
});
