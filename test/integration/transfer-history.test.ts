// What readers see of transfers: histories with the other account, and metrics of both sides.

import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { openEngine } from '../support/engine.ts';
import { author, openFailed } from '../support/failed.ts';
import { readSamples } from '../support/prometheus.ts';
import { accountsOf, inTransit } from '../support/transfers.ts';

it('histories name the transfer and the other account, pending or not', async () => {
  const engine = await openEngine();
  const loyalty = (await engine.producer()).points('loyalty');
  const { from, to } = accountsOf(engine);
  await loyalty.credit(from, 100, { id: 'first' });
  await loyalty.transfer(from, to, 10, { id: 'gift', reason: 'thanks', metadata: { n: 1 } });
  const debit = { id: 'gift', amount: -10, balanceAfter: 90, reason: 'thanks', metadata: { n: 1 } };
  const other = { id: 'first', amount: 100, balanceAfter: 100, transfer: null, otherAccount: null };
  // Its flush gives a transfer its name.
  expect(await loyalty.history(from)).toMatchObject([
    { ...debit, transfer: null, otherAccount: to, persisted: false },
    { ...other, persisted: false },
  ]);
  await engine.drain();
  const [row] = await inTransit(engine);
  const transfer = row!.transfer;
  const written = [
    { ...debit, transfer, otherAccount: to, persisted: true },
    { ...other, persisted: true },
  ];
  expect(await loyalty.history(from)).toMatchObject(written);
  expect(await loyalty.history(to)).toEqual([]);

  await engine.driver().once();
  const credit = {
    id: `\0${transfer}`,
    amount: 10,
    reason: null,
    metadata: null,
    transfer,
    otherAccount: from,
  };
  // Nobody has read the account, so Redis does not know its balance.
  const [pending] = await loyalty.history(to);
  expect(pending).toMatchObject({ ...credit, balanceAfter: null, persisted: false });
  await engine.drain();
  expect(await loyalty.history(to)).toMatchObject([{ ...credit, balanceAfter: 10, persisted: true }]);
  expect(await loyalty.history(from)).toMatchObject(written);
  // The id of a credit is a cursor like any other.
  await loyalty.credit(to, 1, { id: 'later' });
  expect(await loyalty.history(to, { before: 'later' })).toHaveLength(1);
  expect(await loyalty.history(to, { before: pending!.id })).toEqual([]);
});

it('a pending credit to a live account has the balance that it leads to', async () => {
  const engine = await openEngine();
  const loyalty = (await engine.producer()).points('loyalty');
  const { from, to } = accountsOf(engine);
  await loyalty.credit(from, 100, { id: 'first' });
  await loyalty.credit(to, 5, { id: 'first' });
  await loyalty.transfer(from, to, 10, { id: 'gift' });
  await engine.drain();
  await loyalty.balance(to);
  await engine.driver().once();
  expect(await loyalty.history(to)).toMatchObject([
    { amount: 10, balanceAfter: 15, otherAccount: from, persisted: false },
    { amount: 5, balanceAfter: 5, otherAccount: null, persisted: true },
  ]);
});

it('both sides count transfers: accepted, credited, and credited after a return', async () => {
  const engine = await openEngine();
  const registry = new Registry();
  const sluice = await engine.producer({}, { registry });
  const loyalty = sluice.points('loyalty');
  const { from, to } = accountsOf(engine);
  await loyalty.credit(from, 100, { id: 'first' });
  await loyalty.transfer(from, to, 1, { id: 'a' });
  await loyalty.transfer(from, to, 1, { id: 'a' });
  const transfer = { points: 'loyalty', from, to, amount: 2 } as const;
  await sluice.apply([
    { ...transfer, id: 'b' },
    { ...transfer, id: 'c' },
  ]);
  await expect(loyalty.transfer(from, to, 1000, { id: 'd' })).rejects.toMatchObject({
    code: 'INSUFFICIENT_POINTS',
  });
  const accepted = readSamples(await registry.metrics());
  expect(accepted.get('sluice_accepted_transfers_total{duplicate="false"}')).toBe(3);
  expect(accepted.get('sluice_accepted_transfers_total{duplicate="true"}')).toBe(1);
  // They are updates too.
  expect(accepted.get('sluice_accepted_updates_total{duplicate="false"}')).toBe(4);

  const credited = async (returned: 'no' | 'yes') =>
    readSamples(await engine.metrics.registry.metrics()).get(
      `sluice_credited_transfers_total{returned="${returned}"}`,
    );
  await engine.drain();
  expect(await credited('no')).toBe(0);
  await engine.database.query(
    `CREATE TRIGGER refuse BEFORE INSERT ON sluice_entries FOR EACH ROW IF NEW.account = '${to}' AND NEW.amount = 1 THEN SIGNAL SQLSTATE '45000'; END IF`,
  );
  await engine.driver().once();
  await engine.drain();
  expect([await credited('no'), await credited('yes')]).toEqual([2, 0]);
  const { transfers } = await openFailed(engine);
  await transfers.return({}, { ...author, reason: 'refused' });
  await engine.driver().once();
  await engine.drain();
  expect([await credited('no'), await credited('yes')]).toEqual([2, 1]);
  expect(await inTransit(engine)).toEqual([]);
  expect(await loyalty.balance(from)).toBe(96);
});
