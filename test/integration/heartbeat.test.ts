// Which processes live: each tells it in Redis, and one that ends or falls silent is forgotten.

import { expect, it } from 'vitest';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { definitionsDigest, processFacts } from '../../src/shared/config/process-facts.ts';
import { createLog } from '../../src/shared/log.ts';
import { Heartbeat, readProcesses } from '../../src/shared/redis/heartbeat.ts';
import { openEngine, until } from '../support/engine.ts';

const definitions = parseDefinitions({ counters: { views: {} } });

it('a process is there while it lives, with what it runs and whether it pauses', async () => {
  const { redis, keys, settings } = await openEngine();
  const log = createLog('silent', 'stderr');
  let breaker: 'open' | 'closed' = 'closed';
  const facts = processFacts('worker', settings, definitions, { SLUICE_DURABILITY: 'memory' });
  const heartbeat = new Heartbeat({ redis, keys, log }, facts, () => breaker);
  heartbeat.start();
  await until(async () => (await readProcesses(redis, keys)).length === 1, 'the first beat');
  const [found] = await readProcesses(redis, keys);
  expect(found).toMatchObject({ role: 'worker', pid: process.pid, breaker: 'closed' });
  expect(found!.settings).toMatchObject({ SLUICE_DURABILITY: 'memory', SLUICE_PARTITIONS: '4' });
  expect(found!.silentSeconds).toBeLessThan(10);
  breaker = 'open';
  await until(async () => (await readProcesses(redis, keys))[0]?.breaker === 'open', 'the next beat');
  await heartbeat.stop();
  expect(await readProcesses(redis, keys)).toEqual([]);
});

it('a process that was killed is silent, and forgotten after a minute by the beat of another', async () => {
  const { redis, keys, settings } = await openEngine();
  const log = createLog('silent', 'stderr');
  const facts = processFacts('serve', settings, definitions);
  const told = JSON.stringify({ ...facts, host: 'h', pid: 1, startedAt: '', breaker: null });
  const [seconds] = await redis.time();
  await redis.hset(keys.processes, 'silent', `${(Number(seconds) - 30) * 1000} ${told}`);
  await redis.hset(keys.processes, 'gone', `${(Number(seconds) - 90) * 1000} ${told}`);
  const heartbeat = new Heartbeat({ redis, keys, log }, facts);
  heartbeat.start();
  await until(
    async () => (await readProcesses(redis, keys)).length === 2,
    'the one that is gone is forgotten',
  );
  const silent = (await readProcesses(redis, keys)).find(({ id }) => id === 'silent');
  expect(silent!.silentSeconds).toBeGreaterThan(29);
  await heartbeat.stop();
});

it('equal definitions have one digest, whatever the order of their names', () => {
  const points = { loyalty: { floor: 0 } };
  const one = parseDefinitions({ counters: { a: {}, b: {} }, points });
  const other = parseDefinitions({ points, counters: { b: {}, a: {} } });
  expect(definitionsDigest(one)).toBe(definitionsDigest(other));
  expect(definitionsDigest(one)).not.toBe(definitionsDigest(definitions));
});
