// Ids of counters: which are remembered, for how long, and what they take of Redis.

import { describe, expect, it } from 'vitest';
import { digestOf } from '../../src/producer/micro-batch.ts';
import { LIMITS } from '../../src/shared/limits.ts';
import { defineScript } from '../../src/shared/redis/script.ts';
import { type Engine, openEngine, until } from '../support/engine.ts';

const HEAD = ['first', 'last', 'kept', 'stored', 'open', 'expires', 'buckets', 'cursor'] as const;

/** The head of the partition's ids; undefined if none is remembered. */
async function headOf({ redis, keys }: Engine) {
  const text = await redis.hget(keys.of(0, 'counterIds'), '');
  if (text === null) return undefined;
  const values: number[] = JSON.parse(text);
  return Object.fromEntries(HEAD.map((name, at) => [name, values[at]!])) as Record<
    (typeof HEAD)[number],
    number
  >;
}

/** The ids of each bucket, forgotten ones included. */
async function bucketsOf({ redis, keys }: Engine) {
  const { '': _, ...buckets } = await redis.hgetall(keys.of(0, 'counterIds'));
  return Object.fromEntries(
    Object.entries(buckets).map(([place, text]) => [place, text.split(';').slice(1)]),
  );
}

async function open(settings: Parameters<typeof openEngine>[0] = {}) {
  const engine = await openEngine({ partitions: 1, ...settings });
  const sluice = await engine.producer();
  const send = async (ids: readonly string[], by = 1) => {
    const results = await sluice.apply(ids.map(id => ({ counter: 'views', key: 'k', by, id }) as const));
    return results.map(result => (result.ok ? `${result.value} ${result.duplicate}` : result.error.code));
  };
  await sluice.counter('views').get('k');
  return { engine, send };
}

const numbered = (count: number, from = 0) => Array.from({ length: count }, (_, n) => `id-${from + n}`);
const once = (count: number, from = 1) => Array.from({ length: count }, (_, n) => `${from + n} false`);
const again = (count: number, from = 1) => Array.from({ length: count }, (_, n) => `${from + n} true`);

describe('ids of counters', () => {
  it('are recognised with their first results however many there are, and grow into more buckets', async () => {
    const { engine, send } = await open();
    const ids = numbered(5000);
    expect(await send(ids)).toEqual(once(5000));
    expect(await send(ids)).toEqual(again(5000));
    expect(await send(ids.slice(0, 10), 2)).toEqual(Array(10).fill('IDEMPOTENCY_KEY_REUSED'));
    expect(await headOf(engine)).toMatchObject({ kept: 5000, stored: 5000, cursor: 0 });
    const sizes = Object.values(await bucketsOf(engine)).map(({ length }) => length);
    expect(sizes.reduce((sum, size) => sum + size)).toBe(5000);
    expect((await headOf(engine))!.buckets).toBe(5000 / 8);
    expect(Math.max(...sizes)).toBeLessThan(40);
  });

  it('take at most 45 bytes each, whatever their length', async () => {
    const { engine, send } = await open();
    const long = (id: string) => id + 'x'.repeat(LIMITS.id - id.length);
    await send(numbered(10_000).map(long));
    const bytes = await engine.redis.memory('USAGE', engine.keys.of(0, 'counterIds'), 'SAMPLES', 0);
    expect(bytes! / 10_000).toBeLessThan(45);
    expect(await send(numbered(10).map(long))).toEqual(again(10));
  });

  it('may hold any text, and are told apart by their keys', async () => {
    const { engine } = await open();
    const views = (await engine.producer()).counter('views');
    const odd = [';', '; 1', 'a b;c', '-', '0 1 2', '💶', 'x'.repeat(LIMITS.id)];
    for (const id of odd)
      expect(await views.increment('other', 1, { id })).toMatchObject({ duplicate: false });
    for (const id of odd)
      expect(await views.increment('other', 1, { id })).toMatchObject({ duplicate: true });
    // The item and the id are one text in the digest.
    await views.increment('a', 1, { id: 'bc' });
    expect(await views.increment('ab', 1, { id: 'c' })).toMatchObject({ duplicate: false });
    expect(await views.increment('a', 1, { id: 'bc' })).toMatchObject({ duplicate: true });
  });

  it('are told apart in a bucket that both have for ever', async () => {
    const { send } = await open();
    const starts = new Map<string, string>();
    let pair: string[] | undefined;
    for (let n = 0; !pair; n++) {
      // The bucket depends on these characters only.
      const start = digestOf('views:k', `${n}`).slice(0, 5);
      const other = starts.get(start);
      if (other) pair = [other, `${n}`];
      starts.set(start, `${n}`);
    }
    expect(await send(pair)).toEqual(once(2));
    await send(numbered(1000));
    expect(await send(pair)).toEqual(again(2));
  });

  it('are forgotten oldest first at the limit, and no more of them than a slice', async () => {
    const { engine, send } = await open({ idempotencyLimit: 640 });
    for (let from = 0; from < 2000; from += 100) await send(numbered(100, from));
    const { kept, stored } = (await headOf(engine))!;
    expect(kept).toBeGreaterThan(630);
    expect(kept).toBeLessThanOrEqual(640);
    expect(stored).toBeLessThan(2 * 640);
    expect(await send(numbered(630, 1370))).toEqual(again(630, 1371));
    expect(await send(numbered(100, 1200))).toEqual(once(100, 2001));
    expect(await send(numbered(100, 1200))).toEqual(again(100, 2001));
  });

  it('that were forgotten and come again are recognised with the new result', async () => {
    const { engine, send } = await open({ idempotencyLimit: 100 });
    await send(numbered(300));
    // Some of the forgotten ones still stand in their buckets.
    expect((await headOf(engine))!.stored).toBeGreaterThan(100);
    expect(await send(numbered(50), 2)).toEqual(Array.from({ length: 50 }, (_, n) => `${302 + 2 * n} false`));
    expect(await send(numbered(50), 2)).toEqual(Array.from({ length: 50 }, (_, n) => `${302 + 2 * n} true`));
    expect(await send(numbered(50))).toEqual(Array(50).fill('IDEMPOTENCY_KEY_REUSED'));
  });

  it('are remembered for their window, then everything of them goes', async () => {
    const { engine, send } = await open({ idempotencyWindowMs: 1000 });
    const began = Date.now();
    const ids = numbered(500);
    await send(ids);
    const took = Date.now() - began;
    let asked = 0;
    await until(async () => {
      const start = Date.now();
      await engine.flight.trim(0);
      const answers = await send(ids.slice(0, 1));
      asked++;
      if (answers[0]!.endsWith('true')) return false;
      expect(start - began).toBeGreaterThan(1000 - took);
      return true;
    }, 'the first id to be forgotten');
    expect(asked).toBeGreaterThan(1);
    await until(async () => {
      await engine.flight.trim(0);
      return (await headOf(engine)) === undefined;
    }, 'the ids to be forgotten');
    for (const key of ['counterIds', 'counterIdSlices'] as const)
      expect(await engine.redis.exists(engine.keys.of(0, key))).toBe(0);
  });
});

describe('trim', () => {
  it('forgets ids in the order of their ages', async () => {
    const windowMs = 3000;
    const { engine, send } = await open({ idempotencyWindowMs: windowMs });
    await send(['old']);
    const began = Date.now();
    await until(() => Date.now() - began > windowMs / 2, 'half the window to pass');
    await send(['young']);
    await until(async () => {
      await engine.flight.trim(0);
      return (await headOf(engine))!.kept < 2;
    }, 'the old id to be forgotten');
    expect(await send(['young', 'old'])).toEqual(['2 true', '3 false']);
  });

  it('removes forgotten ids from their buckets in steps, and keeps the younger ones', async () => {
    const { engine, send } = await open({ idempotencyLimit: 6400 });
    await send(numbered(6000));
    const file = new URL('../../src/worker/trim.lua', import.meta.url);
    const trim = defineScript<number>(engine.own.redis, 'trim', file);
    const step = () => trim(engine.keys.state(0), 3200, 1000, 50);
    const { buckets } = (await headOf(engine))!;
    let steps = 0;
    for (let before = 6000; ; steps++) {
      const goesOn = await step();
      const { kept, stored } = (await headOf(engine))!;
      expect(kept).toBe(3200);
      // A step removes what 50 buckets have, of which none is long.
      expect(before - stored).toBeLessThan(50 * 20);
      before = stored;
      if (goesOn !== 1) break;
    }
    expect(steps).toBe(Math.ceil(buckets / 50) - 1);
    expect(await headOf(engine)).toMatchObject({ kept: 3200, stored: 3200, cursor: 0 });
    expect(Object.values(await bucketsOf(engine)).flat().length).toBe(3200);
    expect(await send(numbered(3200, 2800))).toEqual(again(3200, 2801));
    // Then there is nothing to walk for.
    expect(await step()).toBe(0);
  });

  it('lets updates go on between the steps of a walk', async () => {
    const { engine, send } = await open({ idempotencyLimit: 6400 });
    await send(numbered(6000));
    const file = new URL('../../src/worker/trim.lua', import.meta.url);
    const trim = defineScript<number>(engine.own.redis, 'trim', file);
    let next = 6000;
    while ((await trim(engine.keys.state(0), 3200, 1000, 50)) === 1) {
      await send(numbered(100, next));
      next += 100;
    }
    const { kept, stored } = (await headOf(engine))!;
    expect(Object.values(await bucketsOf(engine)).flat().length).toBe(stored);
    expect(await send(numbered(kept, next - kept))).toEqual(again(kept, next - kept + 1));
  });
});
