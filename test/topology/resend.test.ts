// Connections to Redis break again and again: ioredis sends calls twice, and each counts once.

import { expect, it } from 'vitest';
import { openEngine } from '../support/engine.ts';
import { ownServers } from '../support/servers.ts';

it('each update counts once, although the connection is lost again and again', async () => {
  const { servers } = await ownServers();
  const engine = await openEngine({}, servers);
  const sluice = await engine.producer();
  const views = sluice.counter('views');
  let acknowledged = 0;
  let unknown = 0;
  let kills = 0;
  const end = performance.now() + 3000;
  const killer = (async () => {
    while (performance.now() < end) {
      await engine.redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      kills++;
      await new Promise(resolve => setTimeout(resolve, 50));
    }
  })();
  await Promise.all(
    Array.from({ length: 50 }, async (_, i) => {
      while (performance.now() < end) {
        await views.increment(`k${i % 7}`).then(
          () => acknowledged++,
          error => {
            if (error.code === 'UNKNOWN_OUTCOME') unknown++;
            else expect(error.code).toBe('REDIS_UNAVAILABLE');
          },
        );
      }
    }),
  );
  await killer;
  await engine.drain();
  const [row] = await engine.database.query('SELECT SUM(value) AS total FROM sluice_counters');
  expect(kills).toBeGreaterThan(10);
  expect(acknowledged).toBeGreaterThan(500);
  expect(Number(row!.total)).toBeGreaterThanOrEqual(acknowledged);
  expect(Number(row!.total)).toBeLessThanOrEqual(acknowledged + unknown);
});
