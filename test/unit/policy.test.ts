// The pure policies: grouping of updates, backoff, settings, records. Rows that fail: blame.test.ts.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { groupUpdates, type Member, parseReply } from '../../src/producer/micro-batch.ts';
import type { Mark } from '../../src/producer/waiting.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { parseSettings } from '../../src/shared/config/settings.ts';
import { quoteIdentifier } from '../../src/shared/mysql/database.ts';
import { parseRecord } from '../../src/shared/updates/record.ts';
import { checkUpdate } from '../../src/shared/updates/update.ts';
import { backoff } from '../../src/worker/circuit.ts';

const definitions = parseDefinitions({ counters: { views: {} }, points: { loyalty: {} } });

describe('grouping', () => {
  it('keeps every update once, sums exactly, and gives each member the value after its own', () => {
    const update = fc.record({
      key: fc.constantFrom('a', 'b', 'c'),
      by: fc.integer({ min: -5, max: 5 }).filter(n => n !== 0),
      id: fc.option(fc.constantFrom('x', 'y'), { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.array(update, { maxLength: 50 }), updates => {
        const values = new Map<number, number | null>();
        const waiting: Member[] = updates.map((input, at) => ({
          update: checkUpdate({ counter: 'views', ...input }, definitions),
          alone: false,
          accept: value => values.set(at, value),
        }));
        const groups = groupUpdates(waiting);
        expect(
          groups.flatMap(group => group.members).sort((a, b) => waiting.indexOf(a) - waiting.indexOf(b)),
        ).toEqual(waiting);
        const live = new Map<string, number>();
        for (const group of groups) {
          const { item } = group.members[0]!.update;
          live.set(item, (live.get(item) ?? 0) + group.amount);
          group.accept(String(live.get(item)), {} as Mark);
        }
        for (const group of groups) {
          let before = 0;
          for (const earlier of groups) {
            if (earlier === group) break;
            if (earlier.members[0]!.update.item === group.members[0]!.update.item) before += earlier.amount;
          }
          for (const member of group.members) {
            before += member.update.amount;
            expect(values.get(waiting.indexOf(member))).toBe(before);
          }
        }
        for (const key of ['a', 'b', 'c']) {
          const total = updates.filter(input => input.key === key).reduce((sum, input) => sum + input.by, 0);
          expect(live.get(`views:${key}`) ?? 0).toBe(total);
        }
        expect(values.size).toBe(updates.length);
      }),
    );
  });

  it('does not sum amounts that could leave the safe range', () => {
    const waiting = [Number.MAX_SAFE_INTEGER, 1].map(by => ({
      update: checkUpdate({ counter: 'views', key: 'k', by }, definitions),
      alone: false,
      accept: () => {},
    }));
    expect(groupUpdates(waiting)).toHaveLength(2);
  });

  it('a reply is parsed into its fields', () => {
    expect(parseReply('ok 1700000000000 epoch 1 12 7 0 3 9 incarnation 40 2 5 - d9')).toEqual({
      status: 'ok',
      time: 1_700_000_000_000,
      epoch: 'epoch',
      armed: true,
      pushed: 12,
      entries: 7,
      quarantined: 0,
      sequence: 3,
      segmentEnd: 9,
      incarnation: 'incarnation',
      updates: 40,
      lost: 2,
      results: ['5', '-', 'd9'],
    });
  });
});

it('the backoff has full jitter and doubles up to the cap', () => {
  expect([1, 2, 3, 10, 100].map(n => backoff(n, 100, 1000, () => 1))).toEqual([100, 200, 400, 1000, 1000]);
  expect(backoff(5, 100, 1000, () => 0)).toBe(0);
});

it('a quoted identifier never leaves its quotes', () => {
  expect(quoteIdentifier('products')).toBe('`products`');
  expect(quoteIdentifier('a`; DROP TABLE b; -- ')).toBe('`a``; DROP TABLE b; -- `');
});

it('a record is read back whatever its item and payload hold', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }),
      (id, rawAccount) => {
        const account = rawAccount.toWellFormed();
        const { item, payload } = checkUpdate(
          { points: 'loyalty', account, amount: -7, id: id.toWellFormed() },
          definitions,
        ) as { item: string; payload: string };
        const record = `1700000000000 0 -7 93 ${Buffer.byteLength(item)}:${item}${payload}`;
        expect(parseRecord(record)).toEqual({
          program: 'loyalty',
          account,
          item,
          id: id.toWellFormed(),
          amount: -7,
          balance: 93,
          reason: null,
          metadata: null,
          acceptedAt: 1_700_000_000_000,
          payload,
        });
      },
    ),
  );
});

describe('settings', () => {
  it('are refused with the nearest name, with the limits, or because they contradict each other', () => {
    expect(() => parseSettings({ flushIntervalMS: 5 } as never)).toThrow(/did you mean "flushIntervalMs"/);
    expect(() => parseSettings({ concurrency: 0 })).toThrow(/SLUICE_CONCURRENCY.*from 1 to 64/);
    expect(() => parseSettings({ flushIntervalMs: 1000, leaseMs: 2000 })).toThrow(/leaseMs/);
    expect(parseSettings().partitions).toBe(4);
  });
});

describe('definitions', () => {
  it.each([
    [{ counter: {} }, /did you mean "counters"/],
    [{ counters: { 'a:b': {} } }, /must start with a letter/],
    [{ points: { loyalty: { flor: 1 } } }, /did you mean "floor"/],
    [{ points: { loyalty: { floor: 0.5 } } }, /floor/],
    [{ counters: { a: { target: { table: 't', key: 'k', column: 'c', missing: 'create' } } } }, /missing/],
    [[], /top level/],
    [null, /top level/],
  ])('refuse %j', (input, message) => {
    expect(() => parseDefinitions(input)).toThrow(message);
  });
});
