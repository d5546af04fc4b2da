/** A process that reads products without HTTP, through the cache or past it, as main.ts tells it. */
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { Registry } from 'prom-client';
import { Cache } from '../src/cache/cache.ts';
import { Database } from '../src/database/database.ts';
import { settings } from '../src/settings.ts';
import { connectDatabase, connectRedis } from '../src/shop.ts';
import { openTables } from '../src/tables/tables.ts';
import { createRandom, createZipf, Times } from './traffic.ts';

export type Task =
  | {
      readonly name: 'reads';
      readonly cached: boolean;
      readonly seconds: number;
      readonly products: number;
      readonly seed: number;
    }
  | { readonly name: 'herd'; readonly id: number; readonly callers: number }
  | { readonly name: 'steady'; readonly id: number; readonly callers: number; readonly seconds: number };
export interface Report {
  readonly reads: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
  readonly queries: number;
  readonly hits: number;
  /** Callers that waited for a load, their own or another's. */
  readonly waited: number;
}

/** Callers of 'reads' at the same time. */
const CALLERS = 50;
/** A query that is worth a cache, seconds. */
const SLOW = 0.05;
/** Between two reads of a caller under 'steady', ms. */
const PAUSE_MS = 2;

const registry = new Registry();
const database = new Database(connectDatabase(settings), settings.statementMs);
const redis = connectRedis(settings.cacheRedis);
const cache = new Cache(redis, settings, registry);
const tables = openTables({ database, registry });
const queries = async () =>
  (await registry.getSingleMetric('shop_catalogue_queries_total')!.get()).values[0]!.value;

function item(id: number, isSlow = false) {
  const load = async () => {
    if (isSlow) await database.query('SELECT SLEEP(?)', [SLOW]);
    return tables.product(String(id));
  };
  return { kind: 'product', id, tags: ['products'], load } as const;
}

/** Runs callers until they are done, and says how it went. */
async function measure(
  callers: number,
  call: (read: (id: number, isSlow: boolean) => Promise<void>) => Promise<void>,
  cached = true,
) {
  const times = new Times();
  const before = await queries();
  let [hits, waited] = [0, 0];
  const read = async (id: number, isSlow: boolean) => {
    const at = performance.now();
    const one = item(id, isSlow);
    const result = cached ? (await cache.read(one)).result : await one.load();
    // After the wait: `hits += await ...` reads `hits` before it, and loses what others counted meanwhile.
    if (result === 'HIT') hits++;
    const ms = performance.now() - at;
    if (isSlow && ms > (SLOW * 1000) / 2) waited++;
    times.add(ms);
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: callers }, () => call(read)));
  const perSecond = times.count / ((performance.now() - began) / 1000);
  const [p50, p99, longest] = times.quantiles(0.5, 0.99, 1);
  const report: Report = {
    reads: times.count,
    perSecond,
    p50: p50!,
    p99: p99!,
    longest: longest!,
    queries: (await queries()) - before,
    hits,
    waited,
  };
  return report;
}

function run(task: Task): Promise<Report> {
  if (task.name === 'herd') return measure(task.callers, read => read(task.id, true));
  const end = performance.now() + task.seconds * 1000;
  if (task.name === 'steady')
    return measure(task.callers, async read => {
      while (performance.now() < end) {
        await read(task.id, true);
        await sleep(PAUSE_MS);
      }
    });
  const draw = createZipf(task.products, createRandom(task.seed));
  return measure(
    CALLERS,
    async read => {
      for (let count = 0; performance.now() < end; count++) {
        await read(draw(), false);
        // A read from memory never waits, and would let nothing else run.
        if (count % 100 === 0) await turn();
      }
    },
    task.cached,
  );
}

await cache.listening;
process.on('message', async (task: Task | 'end') => {
  if (task !== 'end') return process.send?.(await run(task));
  cache.close();
  redis.disconnect();
  await database.end();
  process.disconnect?.();
});
process.send?.('ready');
