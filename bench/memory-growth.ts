// Bytes of Redis per pending counter key, pending entry, hold, id and live value, by the growth of `used_memory`.

import { Redis } from 'ioredis';
import { pino } from 'pino';
import type { Sluice } from '../src/producer/client.ts';
import { createProducer } from '../src/producer/producer.ts';
import { parseDefinitions } from '../src/shared/config/definitions.ts';
import type { Settings } from '../src/shared/config/settings.ts';
import { Inspector } from '../src/shared/redis/inspect.ts';
import { Keys } from '../src/shared/redis/keys.ts';
import { Worker } from '../src/worker/worker.ts';
import { sizes } from './memory-page.ts';

const ACCOUNTS = sizes.count / sizes.entriesPerAccount;
/** Updates per call; counts are multiples of it. */
export const CHUNK = 5000;
const definitions = { counters: { views: {}, score: { ranked: true } }, points: { loyalty: {} } } as const;
/** The worker's: it would build a board. */
const unranked = parseDefinitions({ counters: { views: {} }, points: { loyalty: {} } });
/** Text of this length that ends with the number. */
const numbered = (start: string, n: number, bytes: number) =>
  start + String(n).padStart(bytes - start.length, '0');

export interface PendingGrowth {
  /** Bytes each, everything included. */
  readonly counterKey: number;
  readonly entry: number;
}

export interface Growth extends PendingGrowth {
  readonly counterId: number;
  readonly entryId: number;
  readonly liveValue: number;
  /** A hold that is not in MySQL, with its live record. */
  readonly hold: number;
  /** What is left of it once it is in MySQL. */
  readonly heldRecord: number;
  /** A key on the board of a ranked name. */
  readonly member: number;
}

export interface Deployment {
  redisUrl: string;
  /** Includes the database, which must be migrated. */
  mysqlUrl: string;
  namespace: string;
  settings: Settings;
}

/** Bytes in use, without the last replies to producers, whose number does not grow. */
async function used(redis: Redis): Promise<number> {
  const replies = await redis.keys('*:last:*');
  if (replies.length > 0) await redis.del(replies);
  return Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))![1]);
}

const chunkOf = <Item>(from: number, make: (n: number) => Item) =>
  Array.from({ length: CHUNK }, (_, at) => make(from + at));

class Measuring {
  readonly #redis: Redis;
  readonly #sluice: Sluice;
  readonly #count: number;

  constructor(redis: Redis, sluice: Sluice, count: number) {
    this.#redis = redis;
    this.#sluice = sluice;
    this.#count = count;
  }

  async each(call: (from: number) => Promise<unknown>): Promise<void> {
    for (let from = 0; from < this.#count; from += CHUNK) await call(from);
  }

  async grown(work: () => Promise<unknown>): Promise<number> {
    const before = await used(this.#redis);
    await work();
    return ((await used(this.#redis)) - before) / this.#count;
  }

  /** Bytes per update. */
  sent(make: (n: number) => Parameters<Sluice['apply']>[0][number]): Promise<number> {
    return this.grown(() =>
      this.each(async from => {
        const results = await this.#sluice.apply(chunkOf(from, make));
        const refused = results.find(result => !result.ok);
        if (refused && !refused.ok) throw new Error(`${refused.error.code}: ${refused.error.message}`);
      }),
    );
  }
}

type Parts = Omit<Parameters<typeof Worker.start>[0], 'definitions'>;

/** Runs a worker until all is in MySQL. */
async function drained(parts: Parts, inspector: Inspector): Promise<void> {
  const worker = await Worker.start({ ...parts, definitions: unranked });
  while ((await inspector.all()).some(one => one.pendingUpdates > 0 || one.token !== ''))
    await new Promise(resolve => setTimeout(resolve, 200));
  await worker.stop();
}

export function measureMemory(deployment: Deployment, count: number, what: 'everything'): Promise<Growth>;
export function measureMemory(
  deployment: Deployment,
  count: number,
  what: 'pending only',
): Promise<PendingGrowth>;
export async function measureMemory(
  deployment: Deployment,
  count: number,
  what: string,
): Promise<PendingGrowth> {
  const redis = new Redis(deployment.redisUrl);
  const log = pino({ level: 'silent' });
  const { settings } = deployment;
  const servers = { redis: { url: deployment.redisUrl }, mysql: { url: deployment.mysqlUrl } };
  const parts = { ...servers, namespace: deployment.namespace, settings, log };
  const sluice = (await createProducer({ ...parts, definitions })) as unknown as Sluice;
  const measuring = new Measuring(redis, sluice, count);
  try {
    const account = (n: number) => numbered('account-', n % ACCOUNTS, sizes.account);
    await Promise.all(
      Array.from({ length: ACCOUNTS }, (_, n) => sluice.points('loyalty').balance(account(n))),
    );
    const pageOf = (n: number) => numbered('/some/page/', n, sizes.key);
    const entryOf = (n: number) =>
      ({ points: 'loyalty', account: account(n), amount: 5, id: numbered('eid-', n, sizes.id) }) as const;
    const counterKey = await measuring.sent(n => ({ counter: 'views', key: pageOf(n) }));
    if (what === 'pending only') return { counterKey, entry: await measuring.sent(entryOf) };
    const counterId = await measuring.sent(n => ({
      counter: 'views',
      key: '/',
      id: numbered('cid-', n, sizes.id),
    }));
    const beforeEntries = await used(redis);
    const entry = await measuring.sent(entryOf);
    const liveValue = await measuring.grown(() =>
      measuring.each(from =>
        sluice.counter('views').getMany(chunkOf(from, n => numbered('/read/page/', n, sizes.key))),
      ),
    );
    // Entries that are in MySQL leave only their ids.
    const keys = new Keys(deployment.namespace, settings.partitions);
    const drain = () => drained(parts, new Inspector(redis, keys));
    await drain();
    const left = (await used(redis)) - beforeEntries + counterKey * count - liveValue * count;
    const beforeHolds = await used(redis);
    const holdOf = (n: number) =>
      ({ points: 'loyalty', account: account(n), hold: 1, id: numbered('hid-', n, sizes.id) }) as const;
    const hold = await measuring.sent(holdOf);
    await drain();
    const heldRecord = ((await used(redis)) - beforeHolds) / count;
    for (let partition = 0; partition < keys.partitions; partition++) {
      const epoch = await redis.hget(keys.state(partition), 'epoch');
      await redis.hset(keys.state(partition), 'boards', `cscore ready 0 1 ${epoch}`);
    }
    // Each update makes its key pending, and a member.
    const both = await measuring.sent(n => ({ counter: 'score', key: pageOf(n) }));
    const ofHolds = { hold, heldRecord };
    const ofIds = { counterId, entryId: left / count };
    const all: Growth = { counterKey, entry, liveValue, ...ofIds, ...ofHolds, member: both - counterKey };
    return all;
  } finally {
    await sluice.close();
    redis.disconnect();
  }
}
