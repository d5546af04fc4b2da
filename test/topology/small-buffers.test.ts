// Redis with the smallest limits on requests and replies: no request and no reply exceeds them.

import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { startMysql, startRedis } from '../../scripts/servers.ts';
import { verify } from '../../src/recovery/verify.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { LIMITS } from '../../src/shared/limits.ts';
import { failedJobs, openQueue } from '../../src/shared/redis/queue.ts';
import { LEAST_REPLIES } from '../../src/shared/redis/reply-size.ts';
import { openTables } from '../../src/shared/values/mapping.ts';
import { cleanUp } from '../support/cleanup.ts';
import { definitions, type Engine, openEngine, until } from '../support/engine.ts';
import { temporaryFolder } from '../support/servers.ts';

const servers = { redisUrl: '', mysqlUrl: '' };
beforeAll(async () => {
  const folder = await temporaryFolder();
  const args = [
    ...['--client-output-buffer-limit', 'normal 1mb 0 0'],
    ...['--client-query-buffer-limit', '1mb', '--proto-max-bulk-len', '1mb'],
  ];
  const [redis, mysql] = await Promise.all([
    startRedis({ flavour: 'redis8', directory: join(folder, 'redis'), args }),
    startMysql({ flavour: 'mysql97', directory: join(folder, 'mysql') }),
  ]);
  cleanUp(() => Promise.all([redis.discard(), mysql.discard()]));
  Object.assign(servers, { redisUrl: redis.url, mysqlUrl: mysql.url });
}, 60_000);

const settings = { batchKeys: 50_000, batchEntries: 50_000, callTimeoutMs: 20_000 };
const longKey = (number: number, bytes: number) => `${number}`.padEnd(bytes, '\u0001');
/** Each of its bytes takes two in a request. */
const metadata = { q: '"'.repeat(4088) };

async function drained(engine: Engine) {
  await until(
    async () =>
      (await engine.inspector.all()).every(
        ({ pendingUpdates, token }) => pendingUpdates === 0 && token === '',
      ),
    'drained',
  );
}

it('long keys and 8 KB entries of all partitions are claimed, read and verified', async () => {
  const engine = await openEngine({ ...settings, partitions: 4 }, servers);
  const { redis, database, keys, cold } = engine;
  const parsed = parseDefinitions(definitions);
  let closed = 0;
  redis.on('close', () => closed++);
  const sluice = await engine.producer();
  const names = Array.from({ length: 800 }, (_, number) => longKey(number, LIMITS.key));
  await Promise.all([
    ...names.map(name => sluice.counter('views').increment(name)),
    ...Array.from({ length: 600 }, (_, number) =>
      sluice
        .points('loyalty')
        .credit(`a${number % 8}`, 1, { id: `${number}`, reason: longKey(1, LIMITS.reason), metadata }),
    ),
  ]);
  const all = {
    redis,
    database,
    keys,
    definitions: parsed,
    tables: await openTables(database, parsed),
    cold,
  };
  expect(await verify(all)).toMatchObject({ drift: [], ledger: [] });
  const pages = async () => {
    const ids: string[] = [];
    for (let before: string | undefined; ; before = ids.at(-1)) {
      const page = await sluice
        .points('loyalty')
        .history('a3', { limit: 40, ...(before === undefined ? {} : { before }) });
      ids.push(...page.map(entry => entry.id));
      if (page.length < 40) return ids;
    }
  };
  const pending = await pages();
  expect(pending).toHaveLength(75);
  const batch = await engine.flight.claim(0);
  const again = await engine.flight.claim(0);
  expect(batch!.counters.length).toBeGreaterThan(150);
  expect(again).toMatchObject({ token: batch!.token, counters: batch!.counters, entries: batch!.entries });
  const worker = await engine.worker();
  await drained(engine);
  await worker.stop();
  const [row] = await database.query('SELECT COUNT(*) AS items, SUM(value) AS total FROM sluice_counters');
  expect(`${row!.items} ${row!.total}`).toBe('800 800');
  expect(await sluice.points('loyalty').balance('a3')).toBe(75);
  expect(await pages()).toEqual(pending);
  expect(await sluice.counter('views').getMany(names)).toEqual(names.map(() => 1));
  expect(await verify(all)).toMatchObject({ drift: [], ledger: [] });
  expect(closed).toBe(0);
});

it('failed jobs are read a few at a time', async () => {
  const engine = await openEngine({ ...settings, partitions: 1 }, servers);
  const queue = openQueue(engine.redis, {
    ...engine.keys,
    partitions: 500,
    queuePrefix: engine.keys.queuePrefix,
  } as never);
  const ids: string[] = [];
  for (let number = 0; number < 100; number++) {
    const job = await queue.add('flush', { partition: 0 });
    ids.push(job.id!);
    await engine.redis.hset(
      `${engine.keys.queuePrefix}:flush:${job.id}`,
      'stacktrace',
      JSON.stringify(['s'.repeat(20_000)]),
    );
    await engine.redis.lrem(`${engine.keys.queuePrefix}:flush:wait`, 0, job.id!);
    await engine.redis.zadd(`${engine.keys.queuePrefix}:flush:failed`, number, job.id!);
  }
  const found: string[] = [];
  for await (const job of failedJobs(queue)) found.push(job.id!);
  expect(found.sort()).toEqual(ids.sort());
  await queue.close();
});

it('too small a limit on replies is refused at start, and 0 means no limit', async () => {
  const engine = await openEngine({ ...settings, partitions: 1 }, servers);
  await engine.redis.config('SET', 'client-output-buffer-limit', `normal ${LEAST_REPLIES - 1} 0 0`);
  const error = await engine.producer().then(
    () => undefined,
    caught => caught,
  );
  expect(error).toMatchObject({ code: 'REDIS_UNSUITABLE' });
  expect(error.message).toContain(`client-output-buffer-limit normal ${LEAST_REPLIES - 1}`);
  await engine.redis.config('SET', 'client-output-buffer-limit', 'normal 0 0 0');
  await engine.producer();
  await engine.redis.config('SET', 'client-output-buffer-limit', `normal ${LEAST_REPLIES} 0 0`);
});
