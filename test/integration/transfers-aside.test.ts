// A transfer whose credit MySQL refuses is aside until an operator retries or returns it; then it ends once.

import { describe, expect, it } from 'vitest';
import { retryTransfer, returnTransfer } from '../../src/replay/transfer-changes.ts';
import { listTransfers } from '../../src/replay/transfers.ts';
import { keyIn, openEngine, until } from '../support/engine.ts';
import { runningStatements } from '../support/process-list.ts';
import { amounts, expectZero, inTransit, refuseCredits, withPoints } from '../support/transfers.ts';

/** An engine with a transfer that is aside, and whose cause is mended. */
async function withAside() {
  const opened = await withPoints(await openEngine());
  const { engine, points, from, to, driver } = opened;
  const mend = await refuseCredits(engine);
  const receipt = await points.transfer(from, to, 10, { id: 'x' });
  await engine.drain();
  await driver.once();
  await engine.drain();
  await mend();
  const [row] = await inTransit(engine);
  expect(row).toMatchObject({ from, to, amount: 10, state: 'aside' });
  /** What workers do for a while. */
  const work = async () => {
    for (let round = 0; round < 2; round++) {
      await driver.once();
      await engine.drain();
    }
    await expectZero(engine);
  };
  return { ...opened, receipt, transfer: row!.transfer, work };
}

describe('an operator', () => {
  it('retries it: the destination gets the points', async () => {
    const { engine, points, from, to, receipt, transfer, work } = await withAside();
    await work();
    expect(await amounts(engine, to)).toEqual([]);
    expect(JSON.stringify(await listTransfers(engine.database, { state: 'aside' }))).toContain(transfer);
    expect(await retryTransfer(engine.database, transfer)).toBe('retried');
    expect(await inTransit(engine)).toMatchObject([{ state: 'open', code: null }]);
    expect(await retryTransfer(engine.database, transfer)).toBe('open');
    await work();
    await receipt.credited();
    expect([await points.balance(from), await points.balance(to)]).toEqual([90, 10]);
    expect(await amounts(engine, to)).toEqual([10]);
    expect(await retryTransfer(engine.database, transfer)).toBe('gone');
  });

  it('returns it: the source gets the points back, and its caller is told', async () => {
    const { engine, points, from, to, receipt, transfer, work } = await withAside();
    expect(await returnTransfer(engine.database, engine.keys, transfer)).toBe('returned');
    await work();
    await expect(receipt.credited()).rejects.toMatchObject({ code: 'RETURNED' });
    expect([await points.balance(from), await points.balance(to)]).toEqual([100, 0]);
    expect(await amounts(engine, from)).toEqual([100, -10, 10]);
    expect(await amounts(engine, to)).toEqual([]);
  });

  it('gives it to another account, and that one gets it once', async () => {
    const { engine, points, transfer, to, work } = await withAside();
    const other = keyIn(engine.keys, 2, 'other');
    const same = returnTransfer(engine.database, engine.keys, transfer, to);
    await expect(same).rejects.toMatchObject({ code: 'INVALID_ACCOUNT' });
    expect(await returnTransfer(engine.database, engine.keys, transfer, other)).toBe('returned');
    expect(await returnTransfer(engine.database, engine.keys, transfer, other)).toBe('open');
    await work();
    expect(await points.balance(other)).toBe(10);
    expect(await amounts(engine, other)).toEqual([10]);
  });

  it('may do so again if it is refused once more', async () => {
    const { engine, points, from, to, transfer, work } = await withAside();
    const mend = await refuseCredits(engine);
    expect(await returnTransfer(engine.database, engine.keys, transfer)).toBe('returned');
    await work();
    expect(await inTransit(engine)).toMatchObject([{ to: from, state: 'aside' }]);
    expect(await points.balance(from)).toBe(90);
    await mend();
    expect(await returnTransfer(engine.database, engine.keys, transfer, to)).toBe('returned');
    await work();
    expect([await points.balance(from), await points.balance(to)]).toEqual([90, 10]);
  });
});

it('an error of the record leaves the transfer aside', async () => {
  const { engine, transfer } = await withAside();
  const record = () => Promise.reject(new Error('no audit'));
  await expect(retryTransfer(engine.database, transfer, record)).rejects.toThrow('no audit');
  expect(await inTransit(engine)).toMatchObject([{ state: 'aside' }]);
});

it('a change waits for the flush that may be writing the credit', async () => {
  const { engine, points, to, driver } = await withPoints(await openEngine());
  await points.transfer(keyIn(engine.keys, 0, 'from'), to, 10, { id: 'x' });
  await engine.drain();
  await driver.once();
  const [row] = await inTransit(engine);
  await engine.database.query("UPDATE sluice_transfers SET state = 'aside'");
  let changed: Promise<string> | undefined;
  await engine.database.transaction(async connection => {
    await connection.query('SELECT 1 FROM sluice_partitions WHERE partition_id = 1 FOR UPDATE');
    changed = returnTransfer(engine.own.database, engine.keys, row!.transfer);
    await until(async () => {
      const statements = await runningStatements(engine.database);
      return statements.some(text => /sluice_partitions[\s\S]*FOR UPDATE/.test(text));
    }, 'the change to wait for the lock');
    expect(await inTransit(engine)).toMatchObject([{ state: 'aside', to }]);
  });
  expect(await changed).toBe('returned');
});
