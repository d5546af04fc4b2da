// `npm run memory`: how many bytes of Redis a pending counter key, a pending entry, a remembered id and a live value
// take, on each server, and what an outage of MySQL costs by that. Writes the table of docs/memory.md.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { startMysql, startRedis } from '../scripts/servers.ts';
import type { Sluice } from '../src/producer/client.ts';
import { createProducer } from '../src/producer/producer.ts';
import { parseDefinitions } from '../src/shared/definitions.ts';
import { Inspector } from '../src/shared/inspect.ts';
import { Keys } from '../src/shared/keys.ts';
import { migrate } from '../src/shared/migrate.ts';
import { Database } from '../src/shared/mysql.ts';
import { parseSettings } from '../src/shared/settings.ts';
import { Worker } from '../src/worker/worker.ts';
import { type Figures, memoryPage, pageFile, sizes } from './memory-page.ts';

const COUNT = sizes.count;
const ACCOUNTS = COUNT / sizes.entriesPerAccount;
const CHUNK = 5000;
const definitions = { counters: { views: {} }, points: { loyalty: {} } } as const;
const settings = parseSettings();
/** Text of so many bytes that ends in the number. */
const numbered = (start: string, n: number, bytes: number) =>
  start + String(n).padStart(bytes - start.length, '0');
const say = (text: string) => process.stderr.write(`${text}\n`);

/** Bytes in use, once the replies that a producer leaves behind for a moment have run out. */
async function used(redis: Redis): Promise<number> {
  while ((await redis.keys('*:request:*')).length > 0) await new Promise(resolve => setTimeout(resolve, 200));
  return Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))![1]);
}

async function each(call: (from: number) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < COUNT; from += CHUNK) await call(from);
}

const chunkOf = <Item>(from: number, make: (n: number) => Item) =>
  Array.from({ length: CHUNK }, (_, at) => make(from + at));

async function send(sluice: Sluice, make: (n: number) => Parameters<Sluice['apply']>[0][number]) {
  await each(async from => {
    const results = await sluice.apply(chunkOf(from, make));
    const refused = results.find(result => !result.ok);
    if (refused && !refused.ok) throw new Error(`${refused.error.code}: ${refused.error.message}`);
  });
}

async function measure(server: string, redisUrl: string, mysqlUrl: string): Promise<Figures> {
  const redis = new Redis(redisUrl);
  const log = pino({ level: 'silent' });
  const parts = { redis: { url: redisUrl }, mysql: { url: mysqlUrl }, namespace: 'sluice', settings, log };
  const sluice = (await createProducer({ ...parts, definitions })) as unknown as Sluice;
  const grown = async (work: () => Promise<unknown>) => {
    const before = await used(redis);
    await work();
    return ((await used(redis)) - before) / COUNT;
  };
  try {
    const account = (n: number) => numbered('account-', n % ACCOUNTS, sizes.account);
    await Promise.all(
      Array.from({ length: ACCOUNTS }, (_, n) => sluice.points('loyalty').balance(account(n))),
    );
    const counterKey = await grown(() =>
      send(sluice, n => ({ counter: 'views', key: numbered('/some/page/', n, sizes.key) })),
    );
    const counterId = await grown(() =>
      send(sluice, n => ({ counter: 'views', key: '/', id: numbered('cid-', n, sizes.id) })),
    );
    const beforeEntries = await used(redis);
    const entry = await grown(() =>
      send(sluice, n => ({
        points: 'loyalty',
        account: account(n),
        amount: 5,
        id: numbered('eid-', n, sizes.id),
      })),
    );
    const liveValue = await grown(() =>
      each(from =>
        sluice.counter('views').getMany(chunkOf(from, n => numbered('/read/page/', n, sizes.key))),
      ),
    );
    // What is left of entries once they are in MySQL is their ids.
    const worker = await Worker.start({ ...parts, definitions: parseDefinitions(definitions) });
    const inspector = new Inspector(redis, new Keys('sluice', settings.partitions));
    while ((await inspector.all()).some(one => one.pendingUpdates > 0 || one.token !== ''))
      await new Promise(resolve => setTimeout(resolve, 200));
    await worker.stop();
    const left = (await used(redis)) - beforeEntries + counterKey * COUNT - liveValue * COUNT;
    return { server, counterKey, entry, counterId, entryId: left / COUNT, liveValue };
  } finally {
    await sluice.close();
    redis.disconnect();
  }
}

const folder = mkdtempSync(join(tmpdir(), 'sluice-memory-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const mysql = await startMysql({ flavour: 'mysql97', directory: join(folder, 'mysql') });
const figures: Figures[] = [];
try {
  for (const [flavour, title] of [
    ['redis7', 'Redis'],
    ['redis8', 'Redis'],
    ['valkey9', 'Valkey'],
  ] as const) {
    const limits = { connections: 1, idleTransactionSeconds: 60, lockWaitSeconds: 10 };
    const admin = new Database({ url: `${mysql.url}/information_schema` }, limits);
    await admin.query(`CREATE DATABASE ${flavour}`);
    await admin.close();
    const database = new Database({ url: `${mysql.url}/${flavour}` }, limits);
    await migrate(database, settings.partitions);
    await database.close();
    const redis = await startRedis({ flavour, directory: join(folder, flavour) });
    try {
      const found = await measure(`${title} ${redis.version}`, redis.url, `${mysql.url}/${flavour}`);
      say(JSON.stringify(found));
      figures.push(found);
    } finally {
      await redis.stop();
    }
  }
} finally {
  await mysql.stop();
}
writeFileSync(pageFile, memoryPage(readFileSync(pageFile, 'utf8'), figures, settings.partitions));
process.exit(0);
