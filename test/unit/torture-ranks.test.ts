// What the torture says of ranks: values that producers read during a run, and boards at its end.

import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Holdings } from '../../scripts/torture/holdings.ts';
import { boardOf, differenceOf, RankJournal, readRanks, wrongReads } from '../../scripts/torture/ranks.ts';
import { Keys } from '../../src/shared/redis/keys.ts';
import { temporaryFolder } from '../support/servers.ts';

const keys = new Keys('torture', 8);

const holdings = {
  counters: new Map([
    ['clicks a', 3],
    ['clicks b', 7],
    ['clicks c', 3],
    ['likes a', 9],
  ]),
  balances: new Map([['loyalty a', 5]]),
  values: new Map([['best a', 8]]),
  entries: [
    { program: 'loyalty', account: 'a', id: 'written', amount: 5, balanceAfter: 5 },
    { program: 'loyalty', account: 'b', id: 'refused', amount: 4, balanceAfter: undefined },
    { program: 'loyalty', account: 'a', id: 'refused', amount: 2, balanceAfter: undefined },
  ],
  losses: [],
} as unknown as Holdings;

it('a journal keeps exact values with what the reader had acknowledged before', async () => {
  const journal = join(await temporaryFolder(), 'journal');
  expect(readRanks(journal)).toEqual([]);
  const ranks = new RankJournal(journal);
  ranks.acknowledged('clicks', 'a');
  await ranks.read('clicks', 'a', async () => {
    ranks.acknowledged('clicks', 'a');
    return { value: 1, exact: true };
  });
  await ranks.read('clicks', 'a', async () => ({ value: 1, exact: false }));
  await ranks.read('likes', 'a', async () => ({ value: null, exact: true }));
  appendFileSync(`${journal}.ranks`, 'clicks a 5');
  expect(readRanks(journal)).toEqual([
    { name: 'clicks', key: 'a', value: 1, acknowledged: 1 },
    { name: 'likes', key: 'a', value: 0, acknowledged: 0 },
  ]);
});

it('an exact value below what was acknowledged, or above the end, is a problem', () => {
  const read = (value: number, acknowledged: number) => [{ name: 'clicks', key: 'a', value, acknowledged }];
  for (const right of [read(2, 2), read(3, 0)]) expect(wrongReads(right, holdings, keys)).toEqual([]);
  for (const wrong of [read(1, 2), read(4, 0)]) {
    expect(wrongReads(wrong, holdings, keys)).toEqual([expect.stringContaining('clicks a')]);
    const partition = keys.partitionOf('a');
    const declared = (at: number) => ({ ...holdings, losses: [{ partition: at, kind: 'lost', updates: 1 }] });
    expect(wrongReads(wrong, declared(partition) as Holdings, keys)).toEqual([]);
    expect(wrongReads(wrong, declared((partition + 1) % 8) as Holdings, keys)).toHaveLength(1);
  }
});

it('a board has what the database and the quarantine hold, in its order', () => {
  expect(boardOf('loyalty', holdings, keys)).toEqual([
    { rank: 1, key: 'a', value: 7 },
    { rank: 2, key: 'b', value: 4 },
  ]);
  expect(boardOf('best', holdings, keys)).toEqual([{ rank: 1, key: 'a', value: 8 }]);
  const clicks = boardOf('clicks', holdings, keys);
  expect(clicks[0]).toEqual({ rank: 1, key: 'b', value: 7 });
  expect(clicks.slice(1).map(({ rank }) => rank)).toEqual([2, 2]);
  const [first, second] = clicks.slice(1).map(({ key }) => keys.partitionOf(key));
  expect(first).toBeLessThan(second!);
});

it('a board that differs anywhere is a problem', () => {
  const right = boardOf('clicks', holdings, keys);
  expect(differenceOf('clicks', right, right)).toEqual([]);
  const wrong = [
    right.slice(1),
    right.slice(0, -1),
    [...right, { rank: 4, key: 'd', value: 0 }],
    right.map(member => ({ ...member, rank: member.rank + 1 })),
    right.map(member => ({ ...member, value: member.value + 1 })),
    [right[0]!, right[2]!, right[1]!],
  ];
  for (const found of wrong) expect(differenceOf('clicks', found, right)).toHaveLength(1);
});
