// Repairs of live values under load: no update is lost, and a value that no live value can hold is deleted.

import { expect, it } from 'vitest';
import { drifts } from '../../src/shared/values/comparison.ts';
import { openEngine } from '../support/engine.ts';
import { setLive } from '../support/live.ts';

const COUNTERS = Array.from({ length: 12 }, (_, n) => `/${n}`);
const ACCOUNTS = Array.from({ length: 12 }, (_, n) => `a${n}`);
const REPAIRS = 150;

it('repairs of live values under load lose no update', async () => {
  const engine = await openEngine({ flushIntervalMs: 5 });
  await engine.worker();
  const producers = [await engine.producer(), await engine.producer()];
  const all = [
    ...COUNTERS.map(key => ({ kind: 'c' as const, name: 'views', key })),
    ...ACCOUNTS.map(key => ({ kind: 'p' as const, name: 'loyalty', key })),
  ];
  const sent = new Map(all.map(({ key }) => [key, 0]));
  let over = false;
  const produce = async (sluice: (typeof producers)[number], name: string) => {
    for (let turn = 0; !over; turn++) {
      // A read makes the counter live.
      await sluice.counter('views').get(COUNTERS[turn % COUNTERS.length]!);
      await Promise.all([
        ...COUNTERS.map(key => sluice.counter('views').increment(key, 1 + (turn % 3))),
        ...ACCOUNTS.map(key =>
          sluice.points('loyalty').credit(key, 1 + (turn % 3), { id: `${name}${turn}` }),
        ),
      ]);
      for (const key of sent.keys()) sent.set(key, sent.get(key)! + 1 + (turn % 3));
    }
  };
  const traffic = Promise.all(producers.map((sluice, at) => produce(sluice, `${at}-`)));

  let mended = 0;
  for (let turn = 0; turn < REPAIRS; turn++) {
    const wanted = all[(turn * 7) % all.length]!;
    await setLive(engine, wanted.kind, `${wanted.name}:${wanted.key}`, (turn * 7919) % 100_003);
    const [found] = await engine.cold.repair(engine.keys.partitionOf(wanted.key), [wanted]);
    if (drifts(found!)) mended++;
  }
  over = true;
  await traffic;
  expect(mended).toBeGreaterThan(REPAIRS * 0.9);

  // Repairs are over: an update that a repair overwrote would show as drift or as a wrong value.
  for (const { kind, name, key } of all) {
    const { live, expected } = await engine.compare(kind, name, key);
    expect({ key, live, expected }).toEqual({ key, live: sent.get(key), expected: sent.get(key) });
  }
});

it('a repair deletes a live value whose right value is out of range', async () => {
  const engine = await openEngine();
  const sluice = await engine.producer();
  await sluice.counter('views').increment('/');
  await engine.drain();
  expect(await sluice.counter('views').get('/')).toBe(1);
  await engine.database.query('UPDATE sluice_counters SET value = 9007199254740991');
  await sluice.counter('views').increment('/');
  const wanted = { kind: 'c', name: 'views', key: '/' } as const;
  const [found] = await engine.cold.repair(engine.keys.partitionOf('/'), [wanted]);
  expect(found!.live).toBe(2);
  expect(Number.isSafeInteger(found!.expected)).toBe(false);
  expect((await engine.compare('c', 'views', '/')).live).toBeUndefined();
  await expect(sluice.counter('views').get('/')).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
});
