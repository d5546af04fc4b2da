// Random transfers, and a crash or a loss between any two steps: each transfer ends once, and at any moment the
// entries of transfers and what is in transit add up to 0.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Step } from '../../src/worker/commit.ts';
import { creditOf } from '../../src/worker/credits.ts';
import { Crash, openEngine } from '../support/engine.ts';
import { expectZero, inTransit, ledger, pageOf } from '../support/transfers.ts';

const STEPS: Step[] = ['claimed', 'locked', 'written', 'recorded', 'checked', 'committed', 'acknowledged'];
const STARTS = 50;
const crash = fc.option(fc.constantFrom(...STEPS), { nil: undefined });

type Command =
  | { do: 'transfer'; from: number; to: number; amount: number; id: number }
  | { do: 'flush'; partition: number; crash?: Step | undefined }
  | { do: 'group'; crash?: Step | undefined }
  | { do: 'drive' }
  | { do: 'remember'; partition: number }
  | { do: 'late copy' }
  | { do: 'forget'; partition: number };

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record({
        do: fc.constant('transfer' as const),
        from: fc.nat(3),
        to: fc.nat(3),
        amount: fc.integer({ min: 1, max: 30 }),
        id: fc.nat(4),
      })
      .filter(({ from, to }) => from !== to),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('flush' as const), partition: fc.nat(1), crash }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('group' as const), crash }) },
  { weight: 3, arbitrary: fc.constant({ do: 'drive' as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remember' as const), partition: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.constant({ do: 'late copy' as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const), partition: fc.nat(1) }) },
);

it('each transfer ends once', { timeout: 300_000 }, async () => {
  const engine = await openEngine({ partitions: 2, batchEntries: 2 });
  const loyalty = (await engine.producer()).points('loyalty');
  const driver = engine.driver();
  let run = 0;
  const onlyCrash = (error: unknown) => {
    if (!(error instanceof Crash)) throw error;
  };
  const listener = { failed: (_: number, error: unknown) => onlyCrash(error), wake: () => {} };

  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: 40 }), async commands => {
      run++;
      const account = (n: number) => `${run} ${n}`;
      const balances = [STARTS, STARTS, STARTS, STARTS];
      const sent = new Map<string, string>();
      let copy: { partition: number; page: Awaited<ReturnType<typeof pageOf>> } | undefined;
      for (const n of balances.keys()) await loyalty.credit(account(n), STARTS, { id: 'start' });
      for (const c of commands) {
        if (c.do === 'transfer') {
          const [from, to] = [account(c.from), account(c.to)];
          const content = `${c.to} ${c.amount}`;
          const result = await loyalty
            .transfer(from, to, c.amount, { id: `${c.id}` })
            .catch((error: Error & { code: string }) => error);
          const known = sent.get(`${c.from} ${c.id}`);
          if ('code' in result) {
            if (result.code === 'IDEMPOTENCY_KEY_REUSED') expect(known).not.toBe(content);
            else expect(result.code).toBe('INSUFFICIENT_POINTS');
          } else if (known === undefined) {
            sent.set(`${c.from} ${c.id}`, content);
            balances[c.from]! -= c.amount;
            balances[c.to]! += c.amount;
          }
        } else if (c.do === 'flush' || c.do === 'group') {
          engine.crashAt(c.crash);
          if (c.do === 'flush') await engine.flusher.flush(c.partition).catch(onlyCrash);
          else await engine.flusher.flushGroup([0, 1], listener).catch(onlyCrash);
          engine.crashAt(undefined);
        } else if (c.do === 'drive') {
          await driver.once();
        } else if (c.do === 'remember') {
          copy = { partition: c.partition, page: await pageOf(engine, c.partition) };
        } else if (c.do === 'late copy' && copy && copy.page.transfers.length > 0) {
          await engine.credits.send(copy.partition, copy.page.watermark, copy.page.transfers, creditOf);
        } else if (c.do === 'forget') {
          // All live values end.
          await engine.redis.del(
            engine.keys.of(c.partition, 'live:young'),
            engine.keys.of(c.partition, 'live:old'),
          );
        }
        await expectZero(engine);
      }
      for (let round = 0; round < 3; round++) {
        await engine.drain();
        await driver.once();
      }
      await engine.drain();
      expect(await inTransit(engine)).toEqual([]);
      for (const [n, balance] of balances.entries()) {
        const name = account(n);
        expect(await loyalty.balance(name)).toBe(balance);
        expect(await engine.balanceInMysql('loyalty', name)).toBe(balance);
        expect((await ledger(engine, name)).reduce((sum, { amount }) => sum + amount, 0)).toBe(balance);
        const { live, expected } = await engine.compare('p', 'loyalty', name);
        expect(live).toBe(expected);
      }
    }),
    { numRuns: 25 },
  );
});
