// What the torture's checker says about holds.

import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../scripts/load/zipf.ts';
import { check } from '../../scripts/torture/checker.ts';
import { HoldTraffic } from '../../scripts/torture/hold-traffic.ts';
import type { HeldEntry, HeldPoints, Holdings } from '../../scripts/torture/holdings.ts';
import { Journal, knownOf, readJournal } from '../../scripts/torture/journal.ts';
import type { Update } from '../../scripts/torture/traffic.ts';
import { Keys } from '../../src/shared/redis/keys.ts';
import { endId } from '../../src/shared/updates/hold.ts';
import { temporaryFolder } from '../support/servers.ts';

const keys = new Keys('torture', 8);
const of = { points: 'loyalty', account: 'a' };

/** An earning; a hold of 5 that is posted in part, one of 4 that is voided, one of 3 that expires, and one of 2. */
const asked: Update[] = [
  { ...of, amount: 20, id: 'start' },
  { ...of, hold: 5, id: 'posted', expiresInMs: 100 },
  { ...of, post: 'posted', amount: 2 },
  { ...of, hold: 4, id: 'voided' },
  { ...of, void: 'voided' },
  { ...of, hold: 3, id: 'expired', expiresInMs: 100 },
  { ...of, hold: 2, id: 'open' },
];

/** All are acknowledged, but for those that are refused or have no answer. */
async function journalled(fates: Record<number, 'refused' | 'unknown' | 'HOLD_ENDED'> = {}) {
  const path = join(await temporaryFolder(), 'journal');
  const journal = new Journal(path);
  for (const [at, number] of journal.ask(asked).entries()) {
    const fate = fates[at];
    if (fate === 'refused') journal.failed(number, 'HOLD_ENDED');
    else if (fate !== 'unknown') journal.acknowledged(number);
    if (fate === 'HOLD_ENDED') journal.receiptFailed(number, fate);
  }
  return readJournal(path);
}

const row = (id: string, amount: number, changes: Partial<HeldPoints> = {}): HeldPoints => ({
  ...{ program: 'loyalty', account: 'a', id, amount, status: 'open', posted: 0 },
  ...{ expiresAt: null, createdAt: 1000, endedAt: null },
  ...changes,
});
const posted = row('posted', 5, { status: 'posted', posted: 2, expiresAt: 1100, endedAt: 1050 });
const voided = row('voided', 4, { status: 'voided', endedAt: 1050 });
const expired = row('expired', 3, { status: 'expired', expiresAt: 1100, endedAt: 1100 });
const open = row('open', 2);
const rows = [posted, voided, expired, open];

const entry = (id: string, amount: number, balanceAfter: number | undefined): HeldEntry => ({
  ...{ program: 'loyalty', account: 'a', id, amount, balanceAfter, transfer: null, other: null },
});
const start = entry('start', 20, 20);
const post = entry(endId('posted'), -2, 18);

function holdings(holds: HeldPoints[], entries = [start, post]): Holdings {
  const inLedger = entries.filter(({ balanceAfter }) => balanceAfter !== undefined);
  const balance = inLedger.reduce((sum, { amount }) => sum + amount, 0);
  return {
    counters: new Map(),
    balances: new Map([['loyalty a', balance]]),
    values: new Map(),
    entries,
    losses: [],
    inTransit: new Map(),
    holds,
  };
}

const without = (gone: HeldPoints, ...more: HeldPoints[]) => [...rows.filter(one => one !== gone), ...more];
const fine = { lost: 0, doubled: 0, problems: [] };

it('the checker accepts holds that ended once, as somebody asked or past their time', async () => {
  expect(check(await journalled(), holdings(rows), keys)).toMatchObject({ acknowledged: 7, ...fine });
});

it('the checker accepts a post in quarantine, and what has no answer whether it counts or not', async () => {
  const waiting = [start, entry(endId('posted'), -2, undefined)];
  expect(check(await journalled(), holdings(rows, waiting), keys)).toMatchObject(fine);
  const unknown = await journalled({ 1: 'unknown', 2: 'unknown', 4: 'unknown' });
  expect(check(unknown, holdings(rows), keys)).toMatchObject(fine);
  const neither = [{ ...voided, status: 'open', endedAt: null } as const, expired, open];
  expect(check(unknown, holdings(neither, [start]), keys)).toMatchObject(fine);
});

describe('the checker finds', () => {
  const lost: [string, HeldPoints[], string][] = [
    [
      'a hold that is missing',
      without(open),
      'hold loyalty a open: its hold of 2 was acknowledged, the database has nothing',
    ],
    [
      'an end that is missing',
      without(voided, row('voided', 4)),
      'hold loyalty a voided: its void of 0 was acknowledged, the database has 4, open, 0 posted',
    ],
    [
      'a post of another amount',
      without(posted, { ...posted, posted: 3 }),
      'hold loyalty a posted: its post of 2 was acknowledged, the database has 5, posted, 3 posted',
    ],
  ];
  it.each(lost)('%s', async (_, holds, what) => {
    const { lost, differences } = check(await journalled(), holdings(holds), keys);
    expect(lost).toBe(1);
    expect(differences).toContainEqual(expect.objectContaining({ kind: 'lost', what }));
  });

  const doubled: [string, HeldPoints[], string][] = [
    ['a hold that nobody asked for', [...rows, row('none', 1)], 'hold loyalty a none of 1 was not asked for'],
    ['a hold of another amount', without(open, row('open', 1)), 'hold loyalty a open of 1 was not asked for'],
    [
      'an end that nobody asked for',
      without(open, { ...open, status: 'voided', endedAt: 1050 }),
      'hold loyalty a open is voided with 0 and that was not asked for',
    ],
  ];
  it.each(doubled)('%s', async (_, holds, what) => {
    const { doubled, differences } = check(await journalled(), holdings(holds), keys);
    expect(doubled).toBe(1);
    expect(differences).toContainEqual(expect.objectContaining({ kind: 'doubled', what }));
  });

  it('a refused hold or end that counts', async () => {
    const updates = await journalled({ 2: 'refused', 3: 'refused', 4: 'unknown' });
    expect(check(updates, holdings(rows), keys)).toMatchObject({ doubled: 2 });
  });

  const wrong: [string, Holdings, string][] = [
    [
      'a post without an entry',
      holdings(rows, [start]),
      'hold loyalty a posted is posted with 2 posted, its entries are []',
    ],
    [
      'a post with two entries',
      holdings(rows, [start, post, { ...post, balanceAfter: 16 }]),
      'hold loyalty a posted is posted with 2 posted, its entries are [-2,-2]',
    ],
    [
      'an entry of another amount',
      holdings(rows, [start, { ...post, amount: -3, balanceAfter: 17 }]),
      'hold loyalty a posted is posted with 2 posted, its entries are [-3]',
    ],
    [
      'an entry of a hold that is voided',
      holdings(rows, [start, post, entry(endId('voided'), -4, 14)]),
      'hold loyalty a voided is voided with 0 posted, its entries are [-4]',
    ],
    [
      'an entry without a hold',
      holdings(rows, [start, post, entry(endId('none'), -1, 17)]),
      'an entry of loyalty a is the post of hold none, which has no row',
    ],
    [
      'a hold that expired too early',
      holdings(without(expired, { ...expired, endedAt: 1099 })),
      'hold loyalty a expired expired at 1099, before its time 1100',
    ],
    [
      'a hold that has no time and expired',
      holdings(without(open, { ...open, status: 'expired', endedAt: 1100 })),
      'hold loyalty a open expired at 1100, before its time null',
    ],
    [
      'a hold that nobody ended',
      holdings(without(expired, { ...expired, status: 'open', endedAt: null })),
      'hold loyalty a expired has not expired, its time was 1100',
    ],
    [
      'a post that came too late',
      holdings(without(posted, { ...posted, endedAt: 1100 })),
      'hold loyalty a posted is posted since 1100, after its time 1100',
    ],
    [
      'a time that nobody asked for',
      holdings(without(expired, { ...expired, expiresAt: 1099 })),
      'hold loyalty a expired expires after 99 ms, which nobody asked for',
    ],
    [
      'an end without its time',
      holdings(without(voided, { ...voided, endedAt: null })),
      'hold loyalty a voided is voided and ended at null',
    ],
    [
      'points that are spent although they are held',
      holdings(rows, [start, post, entry('spent', -17, 1)]),
      'loyalty a has 1 and holds 2, above its floor of 0',
    ],
  ];
  it.each(wrong)('%s', async (_, found, problem) => {
    expect(check(await journalled(), found, keys).problems).toContain(problem);
  });

  it('a receipt that failed although MySQL has the end', async () => {
    const updates = await journalled({ 4: 'HOLD_ENDED' });
    const problem = 'hold loyalty a voided: persisted() of its void failed with HOLD_ENDED, and MySQL has it';
    expect(check(updates, holdings(rows), keys).problems).toEqual([problem]);
  });
});

it('a declared loss excuses what is missing, and points that were spent after it', async () => {
  const partition = keys.partitionOf('a');
  const spent = entry('spent', -17, 1);
  const found = {
    ...holdings(without(voided, row('voided', 4)), [start, post, spent]),
    losses: [
      { partition, kind: 'lost', updates: 1 },
      { partition, kind: 'doubled', updates: 1 },
    ] as const,
  };
  const verdict = check(await journalled(), { ...found, losses: [...found.losses] }, keys);
  expect(verdict).toMatchObject({ lost: 0, doubled: 0, declared: 2, problems: [] });
});

it('a refused credit excuses points that are held and not there, of that account only', async () => {
  const found = holdings(rows, [start, post, entry('spent', -17, 1)]);
  const problemsWith = (refused: string) =>
    check([], found, keys, { returns: new Map(), refused: new Set([refused]) }).problems;
  const problem = 'loyalty a has 1 and holds 2, above its floor of 0';
  expect(problemsWith('loyalty b')).toContain(problem);
  expect(problemsWith('loyalty a')).not.toContain(problem);
});

it('the traffic holds, posts and voids, with and without a time, also with ids that others use', async () => {
  const path = join(await temporaryFolder(), 'journal');
  const journal = new Journal(path);
  const traffic = new HoldTraffic('p', seededRandom(1));
  journal.ask(Array.from({ length: 2000 }, () => traffic.next()));
  const updates = readJournal(path);
  const kinds = Map.groupBy(updates, ({ kind }) => kind);
  for (const kind of ['hold', 'post', 'void'] as const) expect(kinds.get(kind)!.length).toBeGreaterThan(200);
  const times = kinds.get('hold')!.map(({ expiresInMs }) => expiresInMs!);
  expect(times.filter(ms => ms === 0).length).toBeGreaterThan(200);
  expect(times.every(ms => ms === 0 || (ms >= 100 && ms < 3500))).toBe(true);
  expect(updates.filter(({ id }) => id.startsWith('shared-')).length).toBeGreaterThan(200);
  expect(updates.every(update => knownOf(update) === 'unknown')).toBe(true);
});
