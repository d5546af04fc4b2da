// Data of another format of Redis is refused, whoever finds it and however, and left as it is.

import { expect, it } from 'vitest';
import { checkRedis } from '../../src/shared/redis/check.ts';
import { REDIS_FORMAT } from '../../src/shared/redis/layout.ts';
import { Rotation } from '../../src/worker/rotation.ts';
import { type Engine, openEngine } from '../support/engine.ts';

const looksLike = async ({ redis, keys }: Engine) => [
  await redis.hgetall(keys.format),
  await redis.hgetall(keys.state(0)),
];

it('a record of the format before ends the start of a process, which says what to do', async () => {
  const engine = await openEngine({ partitions: 1 });
  const { redis, keys, own } = engine;
  await (await engine.producer()).counter('views').increment('k', 2, { id: 'x' });
  await redis.hset(keys.format, 'format', REDIS_FORMAT - 1);
  const before = await looksLike(engine);
  const refused = {
    code: 'REDIS_UNSUITABLE',
    message: expect.stringMatching(/format \d.* Flush everything/),
  };
  await expect(engine.producer()).rejects.toMatchObject(refused);
  await expect(engine.worker()).rejects.toMatchObject(refused);
  for (const looks of [false, true])
    await expect(checkRedis(own.redis, keys, 'test', looks)).rejects.toMatchObject(refused);
  expect(await looksLike(engine)).toEqual(before);
});

it.each(['/5', ''])(
  'a state of this deployment with the ending "%s" is refused by whoever meets it',
  async ending => {
    const engine = await openEngine({ partitions: 1 });
    const { redis, keys } = engine;
    const sluice = await engine.producer();
    const views = sluice.counter('views');
    await views.increment('k', 2, { id: 'x' });
    await redis.hset(keys.state(0), 'deployment', `${keys.deployment}${ending}`);
    const before = await looksLike(engine);
    for (const call of [
      () => views.increment('k', 2, { id: 'x' }),
      () => views.get('k'),
      () => sluice.points('loyalty').history('a'),
      () => engine.inspector.all(),
      () => engine.flight.claim(0),
    ])
      await expect(call()).rejects.toThrow(/FOREIGN/);
    for (const call of [
      () => engine.aligner.align(0),
      () => engine.cold.load(0, [{ kind: 'c', name: 'views', key: 'k' }]),
      () => engine.producer(),
      () => engine.worker(),
    ])
      await expect(call()).rejects.toMatchObject({
        code: 'REDIS_UNSUITABLE',
        message: expect.stringMatching(/Partition 0 .*format [45], .*Flush everything/),
      });
    expect(await new Rotation(engine.own.redis, keys, 0).rotate(0)).toBe(false);
    expect(await looksLike(engine)).toEqual(before);
  },
);

it('a state of another deployment is refused by whoever meets it', async () => {
  const engine = await openEngine({ partitions: 1 });
  const sluice = await engine.producer();
  await engine.redis.hset(engine.keys.state(0), 'deployment', `another/${REDIS_FORMAT}`);
  for (const call of [
    () => sluice.counter('views').increment('k'),
    () => sluice.counter('views').get('k'),
    () => engine.inspector.all(),
    () => engine.flight.claim(0),
    () => engine.aligner.align(0),
    () => engine.cold.load(0, [{ kind: 'c', name: 'views', key: 'k' }]),
  ])
    await expect(call()).rejects.toThrow(/another deployment/);
});
