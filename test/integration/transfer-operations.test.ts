// What operators do to transfers that wait for their credit: list, retry, return, and the audit record.

import { describe, expect, it } from 'vitest';
import { type Engine, keyIn, openEngine, until } from '../support/engine.ts';
import { author, openFailed } from '../support/failed.ts';
import { runningStatements } from '../support/process-list.ts';
import { insertWaiting } from '../support/transfer-rows.ts';

const returning = { ...author, reason: 'account closed' };

/** An engine with a transfer in transit, and two that are aside for different reasons. */
async function openWithTransfers() {
  const engine = await openEngine();
  const failed = await openFailed(engine);
  const [from, to] = [keyIn(engine.keys, 0, 'from'), keyIn(engine.keys, 1, 'to')];
  const add = (transfer: string, age: number, more: { aside?: string; program?: string } = {}) =>
    insertWaiting(engine.database, engine.keys, { transfer, from, to, amount: 10, age, ...more });
  await add('moving', 3);
  await add('refused', 100, { aside: 'OUT_OF_RANGE' });
  await add('missing', 200, { aside: 'TARGET_ROW_MISSING', program: 'credits' });
  return { ...engine, failed, transfers: failed.transfers, from, to };
}

async function row({ database }: Engine, transfer: string) {
  const [found] = await database.query(
    'SELECT state, error_code, to_account, to_partition FROM sluice_transfers WHERE transfer = ?',
    [Buffer.from(transfer)],
  );
  const { state, error_code: code, to_account: to, to_partition: partition } = found!;
  return { state, code, to: String(to), partition: Number(partition) };
}

describe('list', () => {
  it('shows the oldest first, with age and error code', async () => {
    const { transfers, from, to } = await openWithTransfers();
    const { transfers: found, total } = await transfers.list();
    expect(total).toBe(3);
    expect(found.map(one => one.transfer)).toEqual(['missing', 'refused', 'moving']);
    expect(found[0]).toEqual({
      transfer: 'missing',
      program: 'credits',
      from,
      to,
      amount: 10,
      entryId: 'id of missing',
      state: 'aside',
      code: 'TARGET_ROW_MISSING',
      partition: 1,
      createdAt: expect.stringMatching(/^20.*Z$/),
      drivenAt: expect.stringMatching(/^20.*Z$/),
      ageSeconds: expect.any(Number),
    });
    expect(found[0]!.ageSeconds).toBeGreaterThanOrEqual(200);
    expect(found[0]!.ageSeconds).toBeLessThan(300);
    expect(found[2]).toMatchObject({ state: 'open', code: null });
  });

  it('takes filters', async () => {
    const { transfers, from, to } = await openWithTransfers();
    const names = async (filter: Parameters<typeof transfers.list>[0]) =>
      (await transfers.list(filter)).transfers.map(one => one.transfer);
    expect(await names({ name: 'credits' })).toEqual(['missing']);
    expect(await names({ state: 'open' })).toEqual(['moving']);
    expect(await names({ state: 'aside' })).toEqual(['missing', 'refused']);
    expect(await names({ code: 'OUT_OF_RANGE' })).toEqual(['refused']);
    expect(await names({ account: from, state: 'open' })).toEqual(['moving']);
    expect(await names({ account: to })).toHaveLength(3);
    expect(await names({ account: 'nobody' })).toEqual([]);
    expect(await names({ transfers: ['refused', 'unknown'] })).toEqual(['refused']);
    const minuteAgo = new Date(Date.now() - 60_000).toISOString();
    expect(await names({ from: minuteAgo })).toEqual(['moving']);
    expect(await names({ until: minuteAgo })).toEqual(['missing', 'refused']);
    expect(await transfers.list({}, { limit: 1 })).toMatchObject({
      transfers: [{ transfer: 'missing' }],
      total: 3,
    });
  });
});

describe('retry', () => {
  it('opens what is aside, and leaves alone what is in transit', async () => {
    const engine = await openWithTransfers();
    const { transfers, to } = engine;
    expect(await transfers.plan('retry', {})).toEqual({
      action: 'retry',
      groups: [
        { program: 'credits', code: 'TARGET_ROW_MISSING', outcome: 'retried', transfers: 1, amount: 10 },
        { program: 'loyalty', code: null, outcome: 'open', transfers: 1, amount: 10 },
        { program: 'loyalty', code: 'OUT_OF_RANGE', outcome: 'retried', transfers: 1, amount: 10 },
      ],
    });
    expect(await row(engine, 'refused')).toMatchObject({ state: 'aside' });
    expect(await transfers.retry({}, author)).toEqual({
      operation: 1,
      action: 'retry',
      finished: true,
      transfers: { open: 1, retried: 2 },
    });
    for (const transfer of ['refused', 'missing', 'moving'])
      expect(await row(engine, transfer)).toEqual({ state: 'open', code: null, to, partition: 1 });
    // The second operator finds all of them in transit.
    expect(await transfers.retry({}, { operator: 'otto' })).toMatchObject({ transfers: { open: 3 } });
    expect(await transfers.retry({ transfers: ['refused', 'unknown'] }, author)).toMatchObject({
      transfers: { open: 1, gone: 1 },
    });
  });
});

describe('return', () => {
  it('makes the source the destination, in its own partition', async () => {
    const engine = await openWithTransfers();
    const { transfers, from, to } = engine;
    const filter = { transfers: ['refused', 'moving'] };
    expect(await transfers.return(filter, returning)).toMatchObject({
      action: 'return',
      finished: true,
      transfers: { open: 1, returned: 1 },
    });
    expect(await row(engine, 'refused')).toEqual({ state: 'open', code: null, to: from, partition: 0 });
    expect(await row(engine, 'moving')).toMatchObject({ to, partition: 1 });
  });

  it('gives the points to another account if one is named', async () => {
    const engine = await openWithTransfers();
    const heir = keyIn(engine.keys, 3, 'heir');
    await engine.transfers.return({ code: 'OUT_OF_RANGE' }, returning, { to: heir });
    expect(await row(engine, 'refused')).toMatchObject({ state: 'open', to: heir, partition: 3 });
  });

  it('needs a reason, and an account that can be one', async () => {
    const { transfers, ...engine } = await openWithTransfers();
    await expect(transfers.return({}, { ...author, reason: '' })).rejects.toThrow('A return needs a reason');
    await expect(transfers.return({}, returning, { to: '\ud800' })).rejects.toThrow('lone surrogate');
    await expect(transfers.retry({}, { operator: '' })).rejects.toThrow('must have 1 to 255 characters');
    await expect(transfers.list({ state: 'held' as 'open' })).rejects.toThrow('must be open or aside');
    expect(await engine.database.query('SELECT id FROM sluice_operations')).toEqual([]);
    expect(await row(engine as never, 'refused')).toMatchObject({ state: 'aside' });
  });
});

it('two operators at once: one of them changes the transfer', async () => {
  const engine = await openWithTransfers();
  const { transfers } = engine;
  const filter = { transfers: ['refused'] };
  const reports = await Promise.all([
    transfers.retry(filter, author),
    transfers.return(filter, returning),
    transfers.return(filter, returning, { to: 'heir' }),
  ]);
  const outcomes = reports.flatMap(report => Object.keys(report.transfers)).toSorted();
  expect(outcomes.filter(outcome => outcome === 'open')).toHaveLength(2);
  expect(outcomes).toHaveLength(3);
});

it('a change waits for the lock of the destination, as a flush does', async () => {
  const engine = await openWithTransfers();
  let done = false;
  let change: Promise<unknown> | undefined;
  await engine.database.transaction(async connection => {
    await connection.query('SELECT sequence FROM sluice_partitions WHERE partition_id = 1 FOR UPDATE');
    change = engine.transfers.retry({ transfers: ['refused'] }, author).finally(() => {
      done = true;
    });
    await until(async () => {
      const statements = await runningStatements(engine.database);
      return statements.some(text => /sluice_partitions[\s\S]*FOR UPDATE/.test(text));
    }, 'the change to wait for the lock');
    expect(done).toBe(false);
    expect(await row(engine, 'refused')).toMatchObject({ state: 'aside' });
  });
  await change;
  expect(await row(engine, 'refused')).toMatchObject({ state: 'open' });
});

it('the audit record has each operation, and each transfer as it was', async () => {
  const { failed, transfers, from, to } = await openWithTransfers();
  await transfers.retry({ code: 'OUT_OF_RANGE' }, { ...author, reason: 'widened' });
  await transfers.return({ name: 'credits' }, returning, { to: 'heir' });
  expect(await failed.operations()).toMatchObject([
    {
      operation: 2,
      action: 'return',
      operator: 'olga',
      reason: 'account closed',
      transfers: { filter: { name: 'credits' }, to: 'heir' },
      finishedAt: expect.any(String),
      outcomes: { returned: 1 },
    },
    { operation: 1, action: 'retry', reason: 'widened', outcomes: { retried: 1 } },
  ]);
  expect(await failed.items(1)).toEqual([]);
  expect(await failed.transferItems(2)).toMatchObject([
    {
      transfer: 'missing',
      outcome: 'returned',
      original: { from, to, amount: 10, state: 'aside', code: 'TARGET_ROW_MISSING' },
    },
  ]);
  // No operation of another kind is continued as one on transfers, nor the reverse.
  await expect(failed.resume(['replay', 'edit'], 2)).rejects.toMatchObject({ code: 'UNKNOWN_OPERATION' });
});

it('an operation that was stopped is not finished, and what it did stays done', async () => {
  const engine = await openWithTransfers();
  const stopped = new AbortController();
  stopped.abort();
  const report = await engine.transfers.retry({}, author, { signal: stopped.signal });
  expect(report).toMatchObject({ finished: false, transfers: {} });
  expect(await row(engine, 'refused')).toMatchObject({ state: 'aside' });
  expect(await engine.transfers.retry({ state: 'aside' }, author)).toMatchObject({
    finished: true,
    transfers: { retried: 2 },
  });
});
