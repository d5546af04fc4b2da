// An operation on many transfers takes them in pages of one partition: a transaction for each page, not for each
// row, and every promise for a row holds for each row of a page.

import { expect, it, vi } from 'vitest';
import { changeTransfers, RETRY } from '../../src/replay/transfer-changes.ts';
import { eachTransfer, type TransitTransfer } from '../../src/replay/transfers.ts';
import { type Engine, keyIn, openEngine, until } from '../support/engine.ts';
import { author, openFailed } from '../support/failed.ts';
import { insertAside } from '../support/transfer-rows.ts';
import { expectZero, inTransit } from '../support/transfers.ts';

const ASIDE = { state: 'aside' } as const;
const returning = { ...author, reason: 'closed' };
const names = (count: number) => Array.from({ length: count }, (_, n) => `t${String(n).padStart(5, '0')}`);

/** An engine with `count` transfers aside: to `accounts` of all partitions, or to one of partition 1. */
async function openWithAside(count: number, { accounts = 0, lockWaitSeconds = 3 } = {}) {
  const engine = await openEngine({ lockWaitSeconds });
  const failed = await openFailed(engine);
  const [from, one] = [keyIn(engine.keys, 0, 'from'), keyIn(engine.keys, 1, 'to')];
  const rows = names(count).map((transfer, n) => {
    const to = accounts > 0 ? `to${n % accounts}` : one;
    return { transfer, from, to, amount: 1 + (n % 7) };
  });
  await insertAside(engine.database, engine.keys, rows);
  /** The transactions of operations. */
  const transactions = vi.spyOn(engine.own.database, 'transaction');
  return { ...engine, failed, transfers: failed.transfers, rows, from, to: one, transactions };
}

async function stateOf(engine: Pick<Engine, 'database'>) {
  return Map.groupBy(await inTransit(engine), ({ state }) => state);
}

/** What the audit record says of each transfer. */
async function recorded({ database }: Pick<Engine, 'database'>, operation: number) {
  const rows = await database.query(
    'SELECT transfer, outcome FROM sluice_operation_items WHERE operation_id = ?',
    [operation],
  );
  return new Map(rows.map(row => [String(row.transfer), String(row.outcome)]));
}

async function listed({ own }: Engine): Promise<TransitTransfer[]> {
  const found: TransitTransfer[] = [];
  for await (const row of eachTransfer(own.database, ASIDE)) found.push(row);
  return found;
}

/** Updates to all partitions, as fast as they are accepted, until the returned function is called. */
async function traffic(engine: Engine) {
  const sluice = await engine.producer();
  let going = true;
  let sent = 0;
  const running = (async () => {
    while (going) {
      const ids = Array.from({ length: 200 }, () => sent++);
      await sluice.apply(
        ids.map(n => ({ points: 'loyalty' as const, account: `a${n % 997}`, amount: 1, id: `c${n}` })),
      );
    }
  })();
  await until(() => sent >= 2000, 'traffic');
  return async () => {
    going = false;
    await running;
    return sent;
  };
}

it('2,000 transfers with traffic: few transactions, and each credit is written once', {
  timeout: 300_000,
}, async () => {
  const engine = await openWithAside(2000, { accounts: 400 });
  await engine.worker();
  const stop = await traffic(engine);
  const report = await engine.transfers.retry(ASIDE, author);
  expect(report).toMatchObject({ finished: true, transfers: { retried: 2000 } });
  // Two pages in each of four partitions, and again what met a conflict.
  expect(engine.transactions.mock.calls.length).toBeLessThanOrEqual(24);
  expect([...(await recorded(engine, report.operation))]).toEqual(names(2000).map(name => [name, 'retried']));

  await until(async () => (await inTransit(engine)).length === 0, 'the credits', 120_000);
  const sent = await stop();
  const written = await engine.database.query(
    'SELECT transfer, account, amount FROM sluice_entries WHERE transfer IS NOT NULL AND amount > 0 ORDER BY transfer',
  );
  expect(written.map(row => [String(row.transfer), String(row.account), Number(row.amount)])).toEqual(
    engine.rows.map(({ transfer, to, amount }) => [transfer, to, amount]),
  );
  await expectZero(engine);
  await until(
    async () => {
      const [row] = await engine.database.query(
        'SELECT COUNT(*) AS found FROM sluice_entries WHERE transfer IS NULL',
      );
      return Number(row!.found) === sent;
    },
    'the traffic in MySQL',
    120_000,
  );
});

it('a stopped operation has done whole pages, and another one does the rest', async () => {
  const engine = await openWithAside(1000);
  const stopping = new AbortController();
  engine.transactions.mockImplementationOnce(async (use, own) => {
    engine.transactions.mockRestore();
    const result = await engine.own.database.transaction(use, own);
    stopping.abort();
    return result;
  });
  const report = await engine.transfers.retry(ASIDE, author, { signal: stopping.signal });
  expect(report).toMatchObject({ finished: false, transfers: { retried: 300 } });
  const { open, aside } = Object.fromEntries(await stateOf(engine));
  expect([open!.length, aside!.length]).toEqual([300, 700]);
  expect([...(await recorded(engine, report.operation)).keys()]).toEqual(
    open!.map(({ transfer }) => transfer).toSorted(),
  );
  const rest = await engine.transfers.retry(ASIDE, author);
  expect(rest).toMatchObject({ finished: true, transfers: { retried: 700 } });
  expect(await stateOf(engine)).toMatchObject(new Map([['open', { length: 1000 }]]));
});

it('a crash in a page leaves all of its rows aside, and no record of them', async () => {
  const engine = await openWithAside(250);
  const { transfers, transactions } = engine;
  transactions.mockImplementationOnce((use, own) => {
    transactions.mockRestore();
    return engine.own.database.transaction(async connection => {
      await use(connection);
      throw new Error('crashed before the commit');
    }, own);
  });
  await expect(transfers.retry(ASIDE, author)).rejects.toThrow('crashed before the commit');
  expect((await stateOf(engine)).get('aside')).toHaveLength(250);
  expect(await recorded(engine, 1)).toEqual(new Map());
  expect((await engine.failed.operation(1)).finishedAt).toBeNull();
  expect(await transfers.retry(ASIDE, author)).toMatchObject({ transfers: { retried: 250 } });
});

it('a page that waits too long for the lock is tried again', async () => {
  const engine = await openWithAside(100, { lockWaitSeconds: 1 });
  const { transactions } = engine;
  let change: Promise<unknown> | undefined;
  await engine.database.transaction(async connection => {
    await connection.query('SELECT sequence FROM sluice_partitions WHERE partition_id = 1 FOR UPDATE');
    change = engine.transfers.retry(ASIDE, author);
    await until(
      () => transactions.mock.settledResults.some(({ type }) => type === 'rejected'),
      'a page to give up waiting',
    );
    expect((await stateOf(engine)).get('aside')).toHaveLength(100);
  });
  expect(await change).toMatchObject({ finished: true, transfers: { retried: 100 } });
  expect(transactions.mock.calls.length).toBeGreaterThan(1);
});

it('only rows that are aside as they were listed change', async () => {
  const engine = await openWithAside(6);
  const page = await listed(engine);
  const [a, b, c, d] = page.map(({ transfer }) => Buffer.from(transfer));
  const heir = keyIn(engine.keys, 2, 'heir');
  await engine.database.query("UPDATE sluice_transfers SET state = 'open' WHERE transfer = ?", [a]);
  await engine.database.query('DELETE FROM sluice_transfers WHERE transfer = ?', [b]);
  await engine.database.query("UPDATE sluice_transfers SET error_code = 'OTHER' WHERE transfer = ?", [c]);
  await engine.database.query(
    'UPDATE sluice_transfers SET to_account = ?, to_partition = 2 WHERE transfer = ?',
    [Buffer.from(heir), d],
  );
  const before = await inTransit(engine);
  const changed = await changeTransfers(engine.own.database, page, RETRY);
  expect(changed.map(({ outcome }) => outcome)).toEqual([
    ...['open', 'gone', 'open', 'open'],
    ...['retried', 'retried'],
  ]);
  const after = await inTransit(engine);
  expect(after.slice(0, 3)).toEqual(before.slice(0, 3));
  expect(after.slice(3)).toMatchObject([{ state: 'open' }, { state: 'open' }]);
});

it('a return gives each row of a page back to its own source', async () => {
  const engine = await openEngine();
  const { transfers } = await openFailed(engine);
  const to = keyIn(engine.keys, 1, 'to');
  const rows = names(40).map((transfer, n) => ({ transfer, from: `from${n}`, to, amount: 5 }));
  await insertAside(engine.database, engine.keys, [...rows, { transfer: 'u', from: to, to, amount: 5 }]);
  expect(await transfers.return({}, returning)).toMatchObject({
    finished: true,
    transfers: { returned: 40, 'refused:INVALID_ACCOUNT': 1 },
  });
  expect((await stateOf(engine)).get('aside')).toMatchObject([{ transfer: 'u' }]);
  const open = await engine.database.query(
    "SELECT to_account, to_partition FROM sluice_transfers WHERE state = 'open' ORDER BY transfer",
  );
  expect(open.map(row => [String(row.to_account), Number(row.to_partition)])).toEqual(
    rows.map(({ from }) => [from, engine.keys.partitionOf(from)]),
  );
});

it('a row that cannot be changed does not keep the others of its page aside', async () => {
  const engine = await openWithAside(5);
  await engine.database.query(
    "CREATE TRIGGER guard BEFORE UPDATE ON sluice_transfers FOR EACH ROW IF NEW.transfer = 't00002' THEN SIGNAL SQLSTATE '45000'; END IF",
  );
  expect(await engine.transfers.retry(ASIDE, author)).toMatchObject({
    finished: true,
    transfers: { retried: 4, 'refused:DATABASE_FAILED': 1 },
  });
  expect((await stateOf(engine)).get('aside')).toMatchObject([{ transfer: 't00002' }]);
});
