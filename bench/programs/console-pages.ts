/**
 * What the console's pages cost at the sizes of a bad night: pending updates, live keys, rows in quarantine, an audit record
 * of a large operation. It starts Redis 8 and MySQL 9.7, fills them, asks each route many times, and prints how long an
 * answer takes and how much CPU of each server it takes.
 *
 *     node --import tsx bench/programs/console-pages.ts [pending] [live] [quarantined] [requests]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { startMysql, startRedis } from '../../scripts/servers.ts';
import { FigureSource } from '../../src/console/figures.ts';
import type { ConsoleParts } from '../../src/console/parts.ts';
import { routes } from '../../src/console/routes.ts';
import { VerifyRuns } from '../../src/console/verify-runs.ts';
import { parseQuery } from '../../src/http/query.ts';
import { RunningOperations } from '../../src/http/running-operations.ts';
import { createProducer } from '../../src/producer/producer.ts';
import { FailedUpdates } from '../../src/replay/failed.ts';
import { pause } from '../../src/shared/clock.ts';
import type { Config } from '../../src/shared/config/config.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { parseSettings } from '../../src/shared/config/settings.ts';
import { createLog } from '../../src/shared/log.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { migrate } from '../../src/shared/mysql/migrate.ts';
import { openServers } from '../../src/shared/open-servers.ts';
import { CpuMeter } from '../usage.ts';

const [pending = 1_000_000, live = 1_000_000, quarantined = 100_000, requests = 100] = process.argv
  .slice(2)
  .map(Number);
/** Different keys among the pending updates. */
const KEYS = pending / 5;
/** How often a page asks again, seconds. */
const EVERY = 5;
const CHUNK = 5000;
const SAMPLED_SECONDS = 30;
const CODES = ['ER_CHECK_CONSTRAINT_VIOLATED', 'TARGET_ROW_MISSING', 'OUT_OF_RANGE', 'ER_SIGNAL_EXCEPTION'];
const NAMES = ['views', 'clicks', 'likes', 'sales'];
const definitions = parseDefinitions({
  counters: Object.fromEntries(NAMES.map(name => [name, {}])),
  points: { loyalty: {} },
});
const settings = parseSettings({ pendingKeysLimit: 1_000_000, pendingAgeLimitMs: 86_400_000 });
const namespace = 'sluice';
const log = createLog('error', 'stderr');
const say = (text: string) => process.stderr.write(`${text}\n`);

type Servers = Awaited<ReturnType<typeof openServers>>['open'];

async function accept(redisUrl: string, mysqlUrl: string): Promise<void> {
  const sluice = await createProducer({
    redis: redisUrl,
    mysql: mysqlUrl,
    definitions,
    namespace,
    settings,
    log,
  });
  for (let from = 0; from < pending; from += CHUNK)
    await sluice.apply(
      Array.from({ length: CHUNK }, (_, at) => ({ counter: 'views', key: `page-${(from + at) % KEYS}` })),
    );
  const entry = (n: number) => ({ points: 'loyalty', account: `a${n % 50}`, amount: 1, id: `order-${n}` });
  for (let from = 0; from < 50_000; from += CHUNK)
    await sluice.apply(Array.from({ length: CHUNK }, (_, at) => entry(from + at)));
  await sluice.close();
}

async function makeLive({ redis, keys }: Servers): Promise<void> {
  for (let from = 0; from < live; from += CHUNK) {
    const pipeline = redis.pipeline();
    for (const [partition, some] of Map.groupBy(
      Array.from({ length: CHUNK }, (_, at) => `live-${from + at}`),
      key => keys.partitionOf(key),
    ))
      pipeline.hset(keys.of(partition, 'live:young'), ...some.flatMap(key => [`cviews:${key}`, '5']));
    await pipeline.exec();
  }
}

/** Rows like those of refused sums, and the record of an operation that tried all of them. */
async function putAside({ database }: Servers): Promise<void> {
  for (let from = 0; from < quarantined; from += 10_000) {
    const numbers = JSON.stringify(Array.from({ length: 10_000 }, (_, at) => from + at));
    await database.query(
      `INSERT INTO sluice_quarantine (partition_id, sequence, kind, name, item_key, amount, error_code, payload, created_at)
       SELECT j.n MOD 64, 7, 'counter', ELT(1 + j.n MOD 4, ?), CONCAT('page-', j.n), 5, ELT(1 + j.n DIV 4 MOD 4, ?), '{"updates":5}', UTC_TIMESTAMP(3)
       FROM JSON_TABLE(?, '$[*]' COLUMNS (n INT PATH '$')) j`,
      [NAMES, CODES, numbers],
    );
  }
  await database.query(
    "INSERT INTO sluice_operations (action, operator, reason, filter, last_id, started_at) VALUES ('replay', 'olga', 'INC-1', '{\"filter\":{}}', 0, UTC_TIMESTAMP(3))",
  );
  for (let from = 0; from < quarantined; from += 10_000)
    await database.query(
      `INSERT INTO sluice_operation_items (operation_id, quarantine_id, outcome, original, done_at)
       SELECT 1, id, 'refused:OUT_OF_RANGE', JSON_OBJECT('id', id, 'kind', kind, 'amount', 5, 'quarantinedAt', '2026-01-01T00:00:00Z'), UTC_TIMESTAMP(3)
       FROM sluice_quarantine ORDER BY id LIMIT 10000 OFFSET ?`,
      [from],
    );
}

const PAGES = [
  '/api/partitions',
  '/api/look-up?kind=counter&name=views&key=page-77',
  '/api/look-up?kind=counter&name=views&key=live-77',
  '/api/look-up?kind=points&name=loyalty&key=a7',
  '/api/look-up/ledger?name=loyalty&key=a7',
  '/api/trace?name=loyalty&key=a7&id=order-7',
  '/api/quarantine/groups',
  '/api/quarantine/groups?name=views',
  '/api/quarantine/groups?keyPrefix=page-9',
  '/api/quarantine',
  `/api/quarantine?after=${quarantined - 100}`,
  '/api/quarantine?kind=counter&name=sales&code=OUT_OF_RANGE',
  '/api/quarantine?key=page-99',
  '/api/jobs',
  '/api/operations',
  '/api/operations/1',
  '/api/processes',
  '/api/definitions',
];

async function ask(url: string, parts: ConsoleParts): Promise<void> {
  const [path = '', query = ''] = url.split('?');
  const route = routes.find(one => new RegExp(`^${one.path.replace('{id}', '\\d+')}$`).test(path))!;
  const params = { id: path.split('/').at(-1) };
  await route.handle(
    {
      params: route.shape.params?.parse(params),
      query: route.shape.query?.parse(parseQuery(query)),
      asker: { name: 'olga', role: 'admin', address: '127.0.0.1', seesPayloads: true },
    } as never,
    parts,
  );
}

async function measure(parts: ConsoleParts, pids: { redis: number; mysql: number }): Promise<void> {
  const number = (value: number, digits: number) => value.toFixed(digits);
  say(
    '| request | p50, ms | longest, ms | Redis, ms of CPU | MySQL, ms of CPU | of a core, at one request in five seconds |',
  );
  say('| --- | --- | --- | --- | --- | --- |');
  for (const page of PAGES) {
    await ask(page, parts);
    const cpu = new CpuMeter({ redis: [pids.redis], mysql: [pids.mysql] });
    const times: number[] = [];
    for (let n = 0; n < requests; n++) {
      const startedAt = performance.now();
      await ask(page, parts);
      times.push(performance.now() - startedAt);
    }
    const taken = cpu.taken(requests);
    times.sort((a, b) => a - b);
    const [redis, mysql] = [taken.redisCpuMicrosPerUpdate! / 1000, taken.mysqlCpuMicrosPerUpdate! / 1000];
    const share = ((redis + mysql) / 1000 / EVERY) * 100;
    say(
      `| \`${page}\` | ${number(times[requests >> 1]!, 1)} | ${number(times.at(-1)!, 0)} | ${number(redis, 1)} | ${number(mysql, 1)} | ${number(share, 2)} % |`,
    );
  }
}

/** What the samples take, which the console asks for once a second whether anybody looks or not. */
async function measureSamples(open: Servers, pids: { redis: number; mysql: number }): Promise<void> {
  const source = new FigureSource(open);
  await source.ask();
  const cpu = new CpuMeter({ redis: [pids.redis], mysql: [pids.mysql] });
  for (let second = 0; second < SAMPLED_SECONDS; second++) {
    const startedAt = performance.now();
    await source.ask();
    await pause(startedAt + 1000 - performance.now());
  }
  const taken = cpu.taken(SAMPLED_SECONDS);
  const [redis, mysql] = [taken.redisCpuMicrosPerUpdate! / 1e4, taken.mysqlCpuMicrosPerUpdate! / 1e4];
  say(`samples, once a second: ${redis.toFixed(2)} % of a core of Redis, ${mysql.toFixed(2)} % of MySQL`);
}

const folder = mkdtempSync(join(tmpdir(), 'sluice-console-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const mysql = await startMysql({ flavour: 'mysql97', directory: join(folder, 'mysql') });
const redis = await startRedis({ flavour: 'redis8', directory: join(folder, 'redis') });
try {
  const limits = { connections: 1, idleTransactionSeconds: 60, lockWaitSeconds: 10 };
  const admin = new Database({ url: `${mysql.url}/information_schema` }, limits);
  await admin.query('CREATE DATABASE app');
  await admin.close();
  const mysqlUrl = `${mysql.url}/app`;
  const database = new Database({ url: mysqlUrl }, limits);
  await migrate(database, settings.partitions);
  await database.close();
  await accept(redis.url, mysqlUrl);
  const config = { redis: { url: redis.url }, mysql: { url: mysqlUrl }, namespace, settings } as Config;
  const { open, close } = await openServers(config, definitions, log, false);
  await makeLive(open);
  await putAside(open);
  const size = await new Redis(redis.url).dbsize();
  say(
    `${pending} pending updates of ${KEYS} keys, ${live} live keys, ${quarantined} rows in quarantine (${size} keys of Redis)`,
  );
  const failed = new FailedUpdates({ ...open, settings, definitions, log });
  await measure(
    {
      ...{ config, definitions, log, servers: () => open, failed: async () => failed },
      ...{ running: new RunningOperations(log), verifyRuns: new VerifyRuns(log) },
      sampler: { latest: undefined } as ConsoleParts['sampler'],
    },
    { redis: redis.pid, mysql: mysql.pid },
  );
  await measureSamples(open, { redis: redis.pid, mysql: mysql.pid });
  await close();
} finally {
  await redis.stop();
  await mysql.stop();
}
process.exit(0);
