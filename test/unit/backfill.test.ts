// Backfills, the parts that need no server: pages, proofs, rows, options.

import { expect, it } from 'vitest';
import { FIRST_PAGE, nextPage, Standstill } from '../../src/backfill/pace.ts';
import { doubtOf } from '../../src/backfill/remembered.ts';
import { useOf } from '../../src/backfill/rows.ts';
import { Sender } from '../../src/backfill/send.ts';
import { checkRun, type SpecOptions, specOf } from '../../src/backfill/spec.ts';
import { timeLeft } from '../../src/cli/time-left.ts';
import { writeReceipt } from '../../src/producer/receipt-text.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { LIMITS } from '../../src/shared/limits.ts';
import { creditedBy, creditId, openingId } from '../../src/shared/updates/record.ts';
import { checkCounter, checkOpening, checkPoints } from '../../src/shared/updates/update.ts';

const definitions = parseDefinitions({
  counters: {
    views: {},
    both: {},
    by_day: { target: { table: 'days', key: ['product', 'day'], column: 'n' } },
  },
  points: { loyalty: { floor: 5 }, both: {} },
  values: { best: { keep: 'max' } },
});
const options = { table: 'users', key: 'id', value: 'points' };
const spec = (to: string, more: Partial<SpecOptions> = {}) =>
  specOf({ ...options, to, ...more }, definitions);

it('the pages shrink while the flush is slow, grow while it is fast, and keep the rate and the limit', () => {
  const limits = { page: 2000, rate: undefined, lagMs: 1000 };
  let rows = FIRST_PAGE;
  for (let n = 0; n < 10; n++) rows = nextPage(rows, 100, limits);
  expect(rows).toBe(2000);
  expect(nextPage(rows, 700, limits)).toBe(2000);
  for (let n = 0; n < 10; n++) rows = nextPage(rows, 1500, limits);
  expect(rows).toBe(200);
  expect(nextPage(500, 100, { ...limits, rate: 20 })).toBe(20);
  expect(nextPage(500, 100, { ...limits, rate: 0.5 })).toBe(1);
  expect(nextPage(500, 5000, { ...limits, page: 10 })).toBe(10);
});

it('a partition stands as long as it is behind and no batch of it is claimed or acknowledged', () => {
  const standstill = new Standstill();
  const of = (partition: number, sequence: number, token = '') => ({
    partition,
    epoch: 'e',
    sequence,
    token,
  });
  expect(standstill.longest([], 0)).toBeUndefined();
  expect(standstill.longest([of(0, 1), of(1, 1)], 10)).toEqual({ partition: 0, ms: 0 });
  expect(standstill.longest([of(0, 2, 't'), of(1, 1)], 20)).toEqual({ partition: 1, ms: 10 });
  expect(standstill.longest([of(0, 2), of(1, 1)], 40)).toEqual({ partition: 1, ms: 30 });
  // It has caught up meanwhile.
  expect(standstill.longest([of(0, 2)], 60)).toEqual({ partition: 0, ms: 20 });
  expect(standstill.longest([of(0, 2), of(1, 1)], 70)).toEqual({ partition: 0, ms: 30 });
});

it('ids are remembered since a moment only if Redis lost nothing, within the window, with their slice', () => {
  const since = { partition: 0, time: 1000, epoch: 'e', slice: 7 };
  const watermark = { sequence: 5, token: 't5' };
  const of = (time: number, epoch: string, first: number, sequence = 5, token = '') =>
    doubtOf(since, { time, epoch, first, sequence, token }, watermark, 500);
  expect(of(1499, 'e', 7)).toBeUndefined();
  expect(of(1499, 'e', 0)).toBeUndefined();
  expect(of(1500, 'e', 7)).toMatch(/idempotencyWindowMs/);
  expect(of(1200, 'e', 8)).toMatch(/idempotencyLimit/);
  expect(of(1200, 'f', 7)).toMatch(/lost updates/);
  expect(of(999, 'e', 7)).toMatch(/clock/);
  // The batch in flight may be in MySQL already, or not yet.
  expect(of(1200, 'e', 7, 5, 't5')).toBeUndefined();
  expect(of(1200, 'e', 7, 6, 't6')).toBeUndefined();
  // Redis has forgotten a claim: under the same epoch it is behind, or has made another batch of that number.
  expect(of(1200, 'e', 7, 4, '')).toMatch(/lost updates/);
  expect(of(1200, 'e', 7, 4, 't4')).toMatch(/lost updates/);
  expect(of(1200, 'e', 7, 5, 'other')).toMatch(/lost updates/);
});

it('of the receipts of a page the last one of each life of Redis is recorded', () => {
  const accepted = (partition: number, incarnation: string, updates: number) => {
    const update = { kind: 'c', name: 'views', key: 'k', id: '' } as const;
    const counts = { pushed: 1, entries: 1, quarantined: 0, sequence: 1, segmentEnd: 1, time: 1, updates };
    const mark = { partition, epoch: 'e', incarnation, ...counts };
    return { text: writeReceipt({ update, mark, duplicate: false }), persisted: async () => {} };
  };
  const sent = [
    accepted(0, 'a', 7),
    accepted(0, 'a', 8),
    accepted(1, 'a', 3),
    // After a failover that kept fewer; others have sent much since.
    accepted(0, 'b', 20),
  ];
  const sender = new Sender({ apply: async () => [], receipt: () => undefined }, 0);
  expect(sender.lastOf(sent)).toEqual([sent[1], sent[2], sent[3]].map(one => one!.text));
});

it('counters without an answer are not sent again before somebody has asked what Redis has lost', async () => {
  const unknown = { ok: false, error: { code: 'UNKNOWN_OUTCOME', message: 'm', retryable: true } } as const;
  let calls = 0;
  const apply = async () => (++calls === 1 ? [unknown] : [{ ok: true, text: 't' } as never]);
  const sender = new Sender({ apply, receipt: () => undefined }, 10_000);
  const updates = [{ counter: 'views', key: 'k', by: 1, id: 'r' }];
  await expect(sender.send(updates, true)).rejects.toMatchObject({
    code: 'BACKFILL_STALLED',
    retryable: true,
  });
  expect(calls).toBe(1);
  calls = 0;
  expect(await sender.send(updates, false)).toHaveLength(1);
  expect(calls).toBe(2);
});

it('a row becomes an opening, nothing, or is refused', () => {
  const use = (value: string | null, key: readonly string[] = ['1'], to = 'loyalty', isBroken = false) =>
    useOf({ key, value, isBroken, place: [] }, 'r', spec(to, { key: key.join() }), definitions);
  expect(use('12')).toEqual({ opening: [['1'], 12] });
  expect(use('-3.00')).toEqual({ opening: [['1'], -3] });
  expect(use('9007199254740991')).toEqual({ opening: [['1'], Number.MAX_SAFE_INTEGER] });
  expect(use('9007199254740992')).toEqual({ unusable: 'OUT_OF_RANGE' });
  expect(use('1.50')).toEqual({ unusable: 'NOT_WHOLE' });
  for (const value of [null, '0', '0.00', '-0']) expect(use(value), String(value)).toEqual({ empty: true });
  expect(use('1', ['x'.repeat(LIMITS.account)])).toEqual({ opening: [['x'.repeat(255)], 1] });
  expect(use('1', ['x'.repeat(LIMITS.account + 1)])).toEqual({ unusable: 'INVALID_KEY' });
  expect(use('1', ['a', '2026-01-02'], 'by_day')).toEqual({ opening: [['a', '2026-01-02'], 1] });
  expect(use('1', ['\ufffd'], 'views', true)).toEqual({ unusable: 'INVALID_KEY' });
});

it('no id of a caller is that of an opening, and an opening is no credit of a transfer', () => {
  const entry = { points: 'loyalty', account: 'a', amount: 1, id: 'r' };
  const opening = checkOpening({ ...entry, amount: -9 }, definitions);
  expect(opening).toMatchObject({ id: '\0\0r', amount: -9, floor: Number.MIN_SAFE_INTEGER });
  expect(checkOpening({ counter: 'views', key: 'k', by: 4, id: 'r' }, definitions)).toMatchObject({
    id: '\0\0r',
    amount: 4,
  });
  for (const id of ['\0', '\0\0r', openingId('r'), creditId('t')]) {
    expect(() => checkPoints({ ...entry, id }, definitions)).toThrow(/NUL/);
    expect(() => checkCounter('views', 'k', 1, id, definitions)).toThrow(/NUL/);
  }
  expect(creditedBy({ id: openingId('r') })).toBeUndefined();
  expect(creditedBy({ id: creditId('t') })).toBe('t');
});

it('options that fit no destination are refused', () => {
  expect(spec('views')).toMatchObject({ kind: 'c', key: ['id'], where: null, mark: null });
  expect(spec('both').kind).toBe('c');
  expect(spec('both', { points: true }).kind).toBe('p');
  expect(spec('by_day', { key: 'product, day' }).key).toEqual(['product', 'day']);
  expect(() => spec('nothing')).toThrow(/nothing/);
  expect(spec('best').kind).toBe('>');
  expect(() => spec('views', { key: 'a,b' })).toThrow(/one part/);
  expect(() => spec('loyalty', { key: 'a,b' })).toThrow(/one part/);
  expect(() => spec('by_day')).toThrow(/2 parts/);
  for (const flag of ['table', 'value', 'where', 'mark', 'key'])
    expect(() => spec('views', { [flag]: '' }), flag).toThrow(/empty/);
  for (const run of ['', 'a b', '-x', 'é', 'x'.repeat(65)]) expect(() => checkRun(run), run).toThrow(/name/);
});

it('the time left follows from the rows so far', () => {
  expect(timeLeft(0, 100, 5000)).toBe('?');
  expect(timeLeft(100, 0, 5000)).toBe('0 s');
  expect(timeLeft(100, 900, 5000)).toBe('45 s');
  expect(timeLeft(100, 1300, 5000)).toBe('1 min 05 s');
  expect(timeLeft(100, 150_000, 5000)).toBe('2 h 05 min');
});
