// Random updates, random batch limits, and a crash between any two steps of the loop: live, pending, in
// flight, quarantine and MySQL always add up to the acknowledged updates.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Step } from '../../src/worker/commit.ts';
import { Rotation } from '../../src/worker/rotation.ts';
import { Crash, openEngine } from '../support/engine.ts';

const STEPS: Step[] = ['claimed', 'locked', 'written', 'recorded', 'checked', 'committed', 'acknowledged'];
const KEYS = ['a', 'A', 'b ', 'b', 'ü', '\u0000'];
const ACCOUNTS = ['1', '01', 'x:y', 'é["'];

type Command =
  | { do: 'count'; key: number; by: number; id?: number | undefined }
  | { do: 'entry'; account: number; amount: number; id: number }
  | { do: 'flush'; partition: number; crash?: Step | undefined }
  | { do: 'group'; crash?: Step | undefined }
  | { do: 'read'; key: number; account: number }
  | { do: 'rotate'; times: number };

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('count' as const),
      key: fc.nat(5),
      by: fc.integer({ min: -9, max: 9 }).filter(by => by !== 0),
      id: fc.option(fc.nat(6), { nil: undefined }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('entry' as const),
      account: fc.nat(3),
      amount: fc.integer({ min: -60, max: 60 }).filter(n => n !== 0),
      id: fc.nat(12),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('flush' as const),
      partition: fc.nat(1),
      crash: fc.option(fc.constantFrom(...STEPS), { nil: undefined }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('group' as const),
      crash: fc.option(fc.constantFrom(...STEPS), { nil: undefined }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('read' as const), key: fc.nat(5), account: fc.nat(3) }),
  },
  {
    weight: 2,
    // Twice makes every value cold that is not used between.
    arbitrary: fc.record({ do: fc.constant('rotate' as const), times: fc.integer({ min: 1, max: 2 }) }),
  },
);

it('values always add up', { timeout: 300_000 }, async () => {
  // Batches are tiny, so most claims leave a rest.
  const engine = await openEngine({ partitions: 2, batchKeys: 2, batchEntries: 2 });
  const sluice = await engine.producer();
  const views = sluice.counter('views');
  const loyalty = sluice.points('loyalty');
  const rotation = new Rotation(engine.own.redis, engine.keys, 0);
  let run = 0;

  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: 40 }), async commands => {
      run++;
      const counted = new Map<string, number>();
      const balances = new Map<string, number>();
      const used = new Map<string, number>();
      const key = (n: number) => `${run} ${KEYS[n]}`;
      const account = (n: number) => `${run} ${ACCOUNTS[n]}`;
      for (const c of commands) {
        if (c.do === 'count') {
          const id = c.id === undefined ? undefined : `${c.by}-${c.id}`;
          const { duplicate } = await views.increment(key(c.key), c.by, id === undefined ? {} : { id });
          const known = id !== undefined && used.has(`c${c.key}/${id}`);
          expect(duplicate).toBe(known);
          if (id !== undefined) used.set(`c${c.key}/${id}`, 1);
          if (!duplicate) counted.set(key(c.key), (counted.get(key(c.key)) ?? 0) + c.by);
        } else if (c.do === 'entry') {
          const balance = balances.get(account(c.account)) ?? 0;
          const id = `${c.amount}-${c.id}`;
          const before = used.get(`p${c.account}/${id}`);
          const call =
            c.amount > 0
              ? loyalty.credit(account(c.account), c.amount, { id })
              : loyalty.debit(account(c.account), -c.amount, { id });
          const result = await call.catch(error => error);
          if (before !== undefined) expect(result).toMatchObject({ duplicate: true, value: before });
          else if (balance + c.amount < 0 && c.amount < 0)
            expect(result).toMatchObject({ code: 'INSUFFICIENT_POINTS', balance });
          else {
            expect(result).toMatchObject({ duplicate: false, value: balance + c.amount });
            used.set(`p${c.account}/${id}`, balance + c.amount);
            balances.set(account(c.account), balance + c.amount);
          }
        } else if (c.do === 'flush') {
          engine.crashAt(c.crash);
          await engine.flusher.flush(c.partition).catch(error => {
            if (!(error instanceof Crash)) throw error;
          });
          engine.crashAt(undefined);
        } else if (c.do === 'group') {
          engine.crashAt(c.crash);
          const onlyCrash = (error: unknown) => {
            if (!(error instanceof Crash)) throw error;
          };
          const listener = { failed: (_: number, error: unknown) => onlyCrash(error), wake: () => {} };
          await engine.flusher.flushGroup([0, 1], listener).catch(onlyCrash);
          engine.crashAt(undefined);
        } else if (c.do === 'read') {
          expect(await views.get(key(c.key))).toBe(counted.get(key(c.key)) ?? 0);
          expect(await loyalty.balance(account(c.account))).toBe(balances.get(account(c.account)) ?? 0);
        } else {
          for (let partition = 0; partition < 2; partition++)
            for (let times = 0; times < c.times; times++) await rotation.rotate(partition);
        }
        for (const [name, expected] of counted) {
          const found = await engine.compare('c', 'views', name);
          expect(found.expected).toBe(expected);
          expect(found.live ?? expected).toBe(expected);
        }
        for (const [name, expected] of balances) {
          const found = await engine.compare('p', 'loyalty', name);
          expect(found.expected).toBe(expected);
          expect(found.live ?? expected).toBe(expected);
        }
      }
      await engine.drain();
      for (const [name, expected] of counted)
        expect(await engine.counterInMysql('views', name)).toBe(expected);
      for (const [name, expected] of balances) {
        expect(await engine.balanceInMysql('loyalty', name)).toBe(expected);
        const history = await loyalty.history(name, { limit: 1000 });
        expect(history.every(entry => entry.persisted)).toBe(true);
        expect(history.reduce((sum, entry) => sum + entry.amount, 0)).toBe(expected);
        expect(history[0]?.balanceAfter ?? 0).toBe(expected);
      }
    }),
    { numRuns: Number(process.env.TEST_RUNS ?? 40) },
  );
});
