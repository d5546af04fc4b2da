// Redis close to maxmemory: producers stop before it is reached, so that workers and BullMQ can go on.

import { expect, it } from 'vitest';
import { openEngine, until } from '../support/engine.ts';
import { ownServers } from '../support/servers.ts';

it('updates over the share of maxmemory are refused, and accepted again when there is room', async () => {
  const { servers } = await ownServers();
  const engine = await openEngine({ memoryLimitPercent: 50 }, servers);
  const sluice = await engine.producer();
  const views = sluice.counter('views');
  await views.increment('k');
  const used = Number(/^used_memory:(\d+)/m.exec(await engine.redis.info('memory'))![1]);
  await engine.redis.config('SET', 'maxmemory', String(Math.floor(used * 1.6)));
  let error: { code?: string; limit?: string } | undefined;
  await until(async () => {
    error = await views.increment('k').then(
      () => undefined,
      caught => caught,
    );
    return error !== undefined;
  }, 'a refusal');
  expect(error).toMatchObject({ code: 'BACKPRESSURE', limit: 'memory' });
  await engine.drain();
  await engine.redis.config('SET', 'maxmemory', '0');
  await until(
    () =>
      views.increment('k').then(
        () => true,
        () => false,
      ),
    'room',
  );
});
