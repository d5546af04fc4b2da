// apply.lua has a short way for plain batches. It must do the same as the way for all batches.

import { expect, it } from 'vitest';
import { seededRandom } from '../../scripts/load/zipf.ts';
import { partArguments, sharedArguments } from '../../src/producer/apply-call.ts';
import type { PartitionKey } from '../../src/shared/redis/layout.ts';
import { defineScript } from '../../src/shared/redis/script.ts';
import { type Engine, openEngine } from '../support/engine.ts';

const SAFE = Number.MAX_SAFE_INTEGER;
const ITEMS = Array.from({ length: 60 }, (_, n) => `views:k${n}`);

interface Update {
  readonly item: string;
  readonly amount: number;
  readonly updates: number;
}

const plain = (batch: readonly Update[]) =>
  JSON.stringify([
    batch.map(({ item }) => item),
    batch.map(({ amount }) => amount),
    batch.map(({ updates }) => updates),
  ]);
const general = (batch: readonly Update[]) =>
  JSON.stringify(batch.flatMap(({ item, amount, updates }) => ['c', item, amount, updates, '']));

/** Calls apply.lua for partition 0 with plain batches, and for partition 1 with the same ones in general form. */
async function openBoth(engine: Engine) {
  await (await engine.producer()).close();
  const { redis, keys, settings } = engine;
  const file = new URL('../../src/producer/apply.lua', import.meta.url);
  const script = defineScript<string[]>(redis, 'apply', file);
  let number = 0;
  const call = async (partition: number, updates: string, isMemoryOver: boolean) => {
    const deadline = Number((await redis.time())[0]) * 1000 + 5000;
    const one = { id: 'caller', number, deadline, seen: { incarnation: '', updates: 0 }, updates };
    const shared = sharedArguments(keys.owner, settings);
    const [reply] = await script(keys.state(partition), ...shared, ...partArguments(one, isMemoryOver));
    const [status, , , , pushed, , , , , , count, , ...results] = reply!.split(' ');
    return { status, pushed, count, results: results.map(token => token.replace(/^(b.).*/, '$1')) };
  };
  return async (batch: readonly Update[], isMemoryOver = false) => {
    number++;
    const replies = [
      await call(0, plain(batch), isMemoryOver),
      await call(1, general(batch), isMemoryOver),
    ] as const;
    expect(replies[0]).toEqual(replies[1]);
    return replies[0].results;
  };
}

/** All that an update changes, without times. */
async function contents({ redis, keys }: Engine, partition: number) {
  const of = (key: PartitionKey) => keys.of(partition, key);
  const { updates, pushed, claimed, popped } = await redis.hgetall(of('state'));
  return {
    state: { updates, pushed, claimed, popped },
    counters: await redis.hgetall(of('counters')),
    order: (await redis.lrange(of('order'), 0, -1)).map(element => element.replace(/^\d+ /, '')),
    segment: await redis.hgetall(of('segment:counters')),
    young: await redis.hgetall(of('live:young')),
    old: await redis.hgetall(of('live:old')),
  };
}

it('a plain batch does what the general way does', async () => {
  const engine = await openEngine({ pendingKeysLimit: 50, batchKeys: 20 });
  const { redis, keys, flight } = engine;
  const apply = await openBoth(engine);
  const random = seededRandom(11);
  const below = (most: number) => Math.floor(random() * most);
  const seen = new Set<string>();
  for (let round = 0; round < 300; round++) {
    const items = ITEMS.filter(() => below(4) === 0);
    const batch = items.map(item => ({
      item,
      amount: [1, 7, -3, SAFE, -SAFE][Math.min(below(40), 4)]!,
      updates: 1 + below(3),
    }));
    if (batch.length === 0) continue;
    for (const token of await apply(batch, below(40) === 0)) seen.add(token.replace(/\d+/, '1'));
    const [step, live, item] = [below(12), below(2), ITEMS[below(ITEMS.length)]!];
    for (const partition of [0, 1]) {
      const [young, old] = [keys.of(partition, 'live:young'), keys.of(partition, 'live:old')];
      // Values become live, young or old, or end.
      if (step === 0) await redis.hset(live ? young : old, `c${item}`, round % 7 === 0 ? SAFE - 1 : round);
      if (step === 0) await redis.hdel(live ? old : young, `c${item}`);
      if (step === 1 && round % 3 === 0) await redis.del(young, old);
      if (step > 8) await flight.claim(partition);
      if (step === 11) await flight.ack((await flight.claim(partition))!, { late: [], quarantined: 0 });
    }
    expect(await contents(engine, 0), `round ${round}`).toEqual(await contents(engine, 1));
  }
  // Each result occurred: cold, live, out of range, over the limit of keys, memory full.
  expect([...seen].sort()).toEqual(['-', '-1', '1', 'bk', 'bm', 'x']);
});
