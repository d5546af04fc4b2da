// A debit of a transfer that MySQL refuses waits in quarantine: a replay makes it a transfer, a drop cancels it.

import { expect, it } from 'vitest';
import { openEngine } from '../support/engine.ts';
import { author, openFailed } from '../support/failed.ts';
import { amounts, expectZero, inTransit, ledger, refuse, withPoints } from '../support/transfers.ts';

/** An engine with a transfer whose debit is in quarantine, and whose cause is mended. */
async function withRefusedDebit() {
  const opened = await withPoints(await openEngine());
  const { engine, points, from, to } = opened;
  const mend = await refuse(engine, 'NEW.transfer IS NOT NULL');
  const receipt = await points.transfer(from, to, 10, { id: 'x', reason: 'why', metadata: { n: 1.0 } });
  await engine.drain();
  await mend();
  expect(await inTransit(engine)).toEqual([]);
  expect(await points.balance(from)).toBe(90);
  await expect(receipt.credited({ timeoutMs: 5000 })).rejects.toMatchObject({ code: 'QUARANTINED' });
  return { ...opened, receipt, failed: await openFailed(engine) };
}

it('a replay writes the debit and the row, and the credit follows', async () => {
  const { engine, points, from, to, failed, driver, receipt } = await withRefusedDebit();
  expect((await failed.replay({}, author)).updates).toEqual({ replayed: 1 });
  expect(await inTransit(engine)).toMatchObject([{ from, to, id: 'x', amount: 10, state: 'open' }]);
  await expectZero(engine);
  await driver.once();
  await engine.drain();
  await receipt.credited();
  expect([await amounts(engine, from), await amounts(engine, to)]).toEqual([[100, -10], [10]]);
  expect([await points.balance(from), await points.balance(to)]).toEqual([90, 10]);
  const [, debit] = await ledger(engine, from);
  expect(debit).toMatchObject({ id: 'x', other: to });
  await expectZero(engine);
});

it('a drop cancels the transfer', async () => {
  const { engine, points, from, to, failed, driver } = await withRefusedDebit();
  const dropping = failed.drop({}, { ...author, reason: 'test' });
  await engine.drain();
  await dropping;
  await engine.drain();
  await driver.once();
  await engine.drain();
  expect([await points.balance(from), await points.balance(to)]).toEqual([100, 0]);
  expect(await inTransit(engine)).toEqual([]);
  expect(await engine.database.query('SELECT 1 FROM sluice_quarantine')).toEqual([]);
});

it('an edit is refused, and changes nothing', async () => {
  const { points, from, failed } = await withRefusedDebit();
  const report = await failed.edit({}, { amount: -5 }, author);
  expect(report.updates).toEqual({ 'refused:TRANSFER_NOT_EDITABLE': 1 });
  expect(await points.balance(from)).toBe(90);
  expect((await failed.replay({}, author)).updates).toEqual({ replayed: 1 });
});
