// Transfers and holds on Redis Cluster: the partitions lie on different masters.

import { expect, it } from 'vitest';
import { keyIn, openEngine, until } from '../support/engine.ts';
import { expectNoDrift, holdRows } from '../support/holds.ts';
import { ownCluster } from '../support/servers.ts';
import { expectZero, inTransit } from '../support/transfers.ts';

it('points go between accounts of several masters, and all of them arrive', async () => {
  const { servers } = await ownCluster();
  const engine = await openEngine({ partitions: 8 }, servers);
  const sluice = await engine.producer();
  await engine.worker();
  const points = sluice.points('loyalty');
  const accounts = Array.from({ length: 8 }, (_, partition) => keyIn(engine.keys, partition));
  for (const account of accounts) await points.credit(account, 100, { id: 'start' });
  const transfers = accounts.flatMap((from, at) =>
    accounts
      .filter(to => to !== from)
      .map(to => ({ points: 'loyalty', from, to, amount: 1 + at, id: `to ${to}` })),
  );
  const results = await sluice.apply(transfers);
  for (const result of results) {
    if (!result.ok) throw new Error(result.error.message);
    await result.credited!();
  }
  expect(await inTransit(engine)).toEqual([]);
  const sum = 36;
  for (const [at, account] of accounts.entries()) {
    // Seven debits of 1 + at; from each of the others its own amount.
    const expected = 100 - 7 * (1 + at) + (sum - (1 + at));
    expect(await points.balance(account)).toBe(expected);
    expect(await engine.balanceInMysql('loyalty', account)).toBe(expected);
    expect(await engine.compare('p', 'loyalty', account)).toMatchObject({ live: expected, expected });
  }
  await expectZero(engine);
});

it('holds on accounts of several masters are posted, voided and expire', async () => {
  const { servers } = await ownCluster();
  const engine = await openEngine({ partitions: 8 }, servers);
  const points = (await engine.producer()).points('loyalty');
  await engine.worker();
  const accounts = Array.from({ length: 8 }, (_, partition) => keyIn(engine.keys, partition));
  await Promise.all(
    accounts.map(async account => {
      await points.credit(account, 100, { id: 'start' });
      await points.hold(account, 40, { id: 'posted' });
      await points.hold(account, 30, { id: 'voided' });
      await points.hold(account, 20, { id: 'expired', expiresInMs: 50 });
      await (await points.post(account, 'posted', 35)).persisted();
      await (await points.void(account, 'voided')).persisted();
    }),
  );
  for (const account of accounts) {
    await until(async () => (await points.findHold(account, 'expired'))?.status === 'expired');
    expect(await points.account(account)).toEqual({ balance: 65, held: 0, available: 65 });
    await until(async () => (await holdRows(engine, account)).expired?.status === 'expired');
    expect(await engine.balanceInMysql('loyalty', account)).toBe(65);
    await expectNoDrift(engine, account);
  }
});
