// What the torture's checker says about transfers.

import { join } from 'node:path';
import { expect, it } from 'vitest';
import { check } from '../../scripts/torture/checker.ts';
import type { HeldEntry, Holdings } from '../../scripts/torture/holdings.ts';
import { Journal, readJournal } from '../../scripts/torture/journal.ts';
import { Keys } from '../../src/shared/redis/keys.ts';
import { creditId } from '../../src/shared/updates/record.ts';
import { temporaryFolder } from '../support/servers.ts';

const keys = new Keys('torture', 8);

/** An earning, and a transfer whose credited() has resolved. */
async function journalled() {
  const path = join(await temporaryFolder(), 'journal');
  const journal = new Journal(path);
  const numbers = journal.ask([
    { points: 'loyalty', account: 'a', amount: 9, id: 'start' },
    { points: 'loyalty', from: 'a', to: 'b', amount: 5, id: 'gift' },
  ]);
  for (const number of numbers) journal.acknowledged(number);
  journal.credited(numbers[1]!);
  return readJournal(path);
}

const row = (
  account: string,
  id: string,
  amount: number,
  balanceAfter: number,
  of: Partial<HeldEntry> = {},
) => ({
  ...{ program: 'loyalty', account, id, amount, balanceAfter, transfer: null, other: null },
  ...of,
});
const start = row('a', 'start', 9, 9);
const debit = row('a', 'gift', -5, 4, { transfer: 't', other: 'b' });
const credit = row('b', creditId('t'), 5, 5, { transfer: 't', other: 'a' });

function holdings(entries: HeldEntry[], inTransit: [string, string][] = []): Holdings {
  const balances = new Map<string, number>();
  for (const { account, amount } of entries)
    balances.set(`loyalty ${account}`, (balances.get(`loyalty ${account}`) ?? 0) + amount);
  return {
    counters: new Map(),
    balances,
    values: new Map(),
    entries,
    losses: [],
    inTransit: new Map(inTransit),
    holds: [],
  };
}

it('the checker accepts a transfer that is debited once and credited once', async () => {
  expect(check(await journalled(), holdings([start, debit, credit]), keys)).toMatchObject({
    acknowledged: 2,
    lost: 0,
    doubled: 0,
    problems: [],
  });
});

const about = 'entry gift of loyalty a, transfer t,';
const cases: [string, Holdings, string][] = [
  [
    'a lost credit',
    holdings([start, debit]),
    `${about} is not credited: it is not in transit, although credited() had resolved`,
  ],
  [
    'a credit that never comes',
    holdings([start, debit], [['t', 'aside']]),
    `${about} is not credited: it is aside, although credited() had resolved`,
  ],
  [
    'a credit of which the row stays',
    holdings([start, debit, credit], [['t', 'open']]),
    `${about} is credited and in transit`,
  ],
  [
    'a second credit',
    holdings([start, debit, credit, { ...credit, balanceAfter: 10 }]),
    `${about} is credited 2 times`,
  ],
  [
    'another amount',
    holdings([start, debit, { ...credit, amount: 6 }]),
    `${about} is credited with 6 of loyalty from a`,
  ],
  [
    'another account',
    holdings([start, debit, { ...credit, account: 'c' }]),
    `${about} is credited to c instead of b`,
  ],
  [
    'another destination',
    holdings([start, { ...debit, other: 'c' }, credit]),
    `${about} goes to c and should go to b`,
  ],
  [
    'a debit that is no transfer',
    holdings([start, row('a', 'gift', -5, 4)]),
    'entry gift of loyalty a, transfer null, should go to b and is no transfer',
  ],
];

it.each(cases)('the checker finds %s', async (_, found, problem) => {
  expect(check(await journalled(), found, keys).problems).toContain(problem);
});

it('the checker finds a credit without a debit, and a debit that is lost', async () => {
  const verdict = check(await journalled(), holdings([start, credit]), keys);
  expect(verdict).toMatchObject({ lost: 1, problems: ['transfer t credits b without a debit'] });
});

it('a debit in quarantine is no transfer yet', async () => {
  const quarantined = { ...debit, transfer: null, other: null, balanceAfter: undefined };
  const found = { ...holdings([start]), entries: [start, quarantined] };
  expect(check(await journalled(), found, keys)).toMatchObject({ lost: 0, problems: [] });
});

it('a transfer that an operator returned is credited to that account', async () => {
  const updates = await journalled();
  const back = { ...credit, account: 'a', balanceAfter: 9 };
  const returned = (possible: string[], last?: string) => ({
    returns: new Map([['t', { possible: new Set(possible), last }]]),
    refused: new Set<string>(),
  });
  const problemsOf = (found: HeldEntry, returns: ReturnType<typeof returned>) =>
    check(updates, holdings([start, debit, found]), keys, returns).problems;
  expect(problemsOf(back, returned([], 'a'))).toEqual([]);
  expect(problemsOf(credit, returned([], 'a'))).toEqual([`${about} is credited to b instead of a`]);
  // The answer of the return was lost.
  expect(problemsOf(back, returned(['a']))).toEqual([]);
  expect(problemsOf(credit, returned(['a']))).toEqual([]);
});

it('a refused credit excuses a debit below the floor, of that account only', async () => {
  const found = holdings([{ ...start, amount: 4, balanceAfter: 4 }, { ...debit, balanceAfter: -1 }, credit]);
  const problemsWith = (refused: string) =>
    check([], found, keys, { returns: new Map(), refused: new Set([refused]) }).problems;
  const below = 'entry gift took loyalty a to -1, below its floor of 0';
  expect(problemsWith('loyalty b')).toContain(below);
  for (const refused of ['loyalty a', 'loyalty']) expect(problemsWith(refused)).not.toContain(below);
});
