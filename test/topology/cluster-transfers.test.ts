// Transfers on Redis Cluster: the two partitions lie on different masters.

import { expect, it } from 'vitest';
import { keyIn, openEngine } from '../support/engine.ts';
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
