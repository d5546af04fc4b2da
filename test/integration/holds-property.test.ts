// Any order of holds, posts, voids, expiries, debits, flushes, crashes and evictions keeps both numbers of an account.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Engine, openEngine } from '../support/engine.ts';
import { expectNoDrift, expectOpenSums, holdRows, withAccount } from '../support/holds.ts';
import { dropAllLive } from '../support/live.ts';

type Points = Awaited<ReturnType<typeof withAccount>>['points'];

/** How the account and its holds should stand. */
interface Model {
  balance: number;
  readonly holds: Map<string, { amount: number; status: string; posted: number }>;
}

const heldIn = ({ holds }: Model) =>
  [...holds.values()].reduce((sum, { amount, status }) => sum + (status === 'open' ? amount : 0), 0);

/** What a call gave: its error's code, or `duplicate`, or `ok`. */
async function outcome(call: Promise<{ duplicate: boolean }>): Promise<string> {
  return call.then(
    ({ duplicate }) => (duplicate ? 'duplicate' : 'ok'),
    error => error.code,
  );
}

const id = fc.constantFrom(...Array.from({ length: 12 }, (_, at) => `h${at}`));
const amount = fc.integer({ min: 1, max: 60 });
/** Which of the holds so far an end is of; `none` before the first one. */
const which = fc.nat(11);
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('hold' as const), id, amount }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('post' as const),
      which,
      amount: fc.option(amount, { nil: undefined }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('void' as const), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('debit' as const), amount }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('credit' as const), amount }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('flush', 'crash', 'evict', 'forget') }) },
);
type Step = typeof step extends fc.Arbitrary<infer One> ? One : never;

/** What the model says of a step on a hold, and does. */
function expected(
  model: Model,
  one: Extract<Step, { id: string } | { which: number }>,
  named: string,
): string {
  const hold = model.holds.get(named);
  if (one.do === 'hold') {
    if (hold) return hold.amount === one.amount ? 'duplicate' : 'IDEMPOTENCY_KEY_REUSED';
    if (model.balance - heldIn(model) < one.amount) return 'INSUFFICIENT_POINTS';
    model.holds.set(named, { amount: one.amount, status: 'open', posted: 0 });
    return 'ok';
  }
  if (!hold) return 'UNKNOWN_HOLD';
  const posted = one.do === 'post' ? (one.amount ?? hold.amount) : 0;
  const status = one.do === 'post' ? 'posted' : 'voided';
  if (hold.status !== 'open')
    return hold.status === status && hold.posted === posted ? 'duplicate' : 'HOLD_ENDED';
  if (posted > hold.amount) return 'HOLD_EXCEEDED';
  Object.assign(hold, { status, posted });
  model.balance -= posted;
  return 'ok';
}

async function take(engine: Engine, points: Points, model: Model, one: Step, nth: number): Promise<void> {
  const entryId = `e${nth}`;
  if ('id' in one || 'which' in one) {
    const known = [...model.holds.keys()];
    const named = 'id' in one ? one.id : (known[one.which % Math.max(1, known.length)] ?? 'none');
    const call =
      one.do === 'hold'
        ? points.hold('a', one.amount, { id: named })
        : one.do === 'post'
          ? points.post('a', named, one.amount)
          : points.void('a', named);
    expect(await outcome(call)).toBe(expected(model, one, named));
  } else if (one.do === 'debit') {
    const fits = model.balance - heldIn(model) >= one.amount;
    expect(await outcome(points.debit('a', one.amount, { id: entryId }))).toBe(
      fits ? 'ok' : 'INSUFFICIENT_POINTS',
    );
    if (fits) model.balance -= one.amount;
  } else if (one.do === 'credit') {
    await points.credit('a', one.amount, { id: entryId });
    model.balance += one.amount;
  } else if (one.do === 'evict') await dropAllLive(engine, 0);
  else if (one.do === 'forget') {
    // The window of ids is over, as far as they are flushed.
    await engine.drain();
    await engine.redis.del(engine.keys.of(0, 'ids'));
  } else {
    engine.crashAt(
      one.do === 'crash' ? (['claimed', 'written', 'checked', 'committed'] as const)[nth % 4] : undefined,
    );
    await engine.flusher.flush(0).catch(() => {});
    engine.crashAt(undefined);
  }
  expect(await points.account('a')).toMatchObject({ balance: model.balance, held: heldIn(model) });
}

it('any order of steps keeps both numbers and each end once', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async steps => {
      const { engine, points } = await withAccount(await openEngine({ partitions: 1, batchEntries: 3 }));
      const model: Model = { balance: 100, holds: new Map() };
      for (const [nth, one] of steps.entries()) await take(engine, points, model, one, nth);
      await engine.drain();
      await expectNoDrift(engine, 'a');
      expect(await engine.balanceInMysql('loyalty', 'a')).toBe(model.balance);
      expect(await holdRows(engine, 'a')).toEqual(Object.fromEntries(model.holds));
      await expectOpenSums(engine);
    }),
    { numRuns: Number(process.env.HOLD_RUNS ?? 12), interruptAfterTimeLimit: 90_000 },
  );
});
