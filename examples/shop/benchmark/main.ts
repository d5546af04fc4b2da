/**
 * `npm run benchmark`: what the cache is worth, with it and without it in turns, in one run.
 *
 * It takes the servers of REDIS_URL, CACHE_REDIS_URL and MYSQL_URL, makes the tables and the data that are missing, and
 * clears this shop's cache. Tables go to stdout; `results.json` and `results.svg` beside this file, or in the folder that
 * is the first argument. BENCHMARK_SECONDS is the length of a round, ROUNDS their number.
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { settings } from '../src/settings.ts';
import { closeShop, openShop } from '../src/shop.ts';
import {
  compareCalls,
  compareColdStarts,
  compareExpiries,
  compareHerds,
  compareHttp,
  fillCache,
  WARM_UP,
} from './measurements.ts';
import { pictureOf } from './picture.ts';
import { migrateSluice, run, startApi, startWorker } from './processes.ts';
import { chartsOf, type Results, tablesOf } from './report.ts';

const number = (name: string, otherwise: number) => Number(process.env[name] ?? otherwise);
const size = {
  rounds: number('ROUNDS', 5),
  seconds: number('BENCHMARK_SECONDS', 5),
  products: number('PRODUCTS', 10_000),
  requests: number('REQUESTS', 300_000),
};
const folder = process.argv[2] ?? import.meta.dirname;
const say = (text: string) => console.error(`${new Date().toISOString().slice(11, 19)} ${text}`);

/** Product n was viewed 1/n as often as product 1, and Sluice ranks them. */
async function countViews(): Promise<void> {
  const shop = await openShop(settings);
  const views = shop.sluice.counter('product_views');
  await Promise.all(
    Array.from({ length: 2 * WARM_UP }, (_, index) =>
      views.increment(String(index + 1), Math.ceil(10_000 / (index + 1))),
    ),
  );
  const areRanked = () =>
    views.board.top(WARM_UP).then(
      ({ members }) => members.length === WARM_UP,
      () => false,
    );
  while (!(await areRanked())) await new Promise(resolve => setTimeout(resolve, 100));
  await closeShop(shop);
}

say('tables and data');
await migrateSluice();
await run('src/migrate.ts');
process.env.USERS ??= '100';
await run('src/seed.ts');
startWorker();
await countViews();

const api = await startApi();
say('an empty cache');
const filling = await fillCache(api, size);
say('reads over HTTP');
const http = await compareHttp(api, size);
say('reads without HTTP');
const calls = await compareCalls(size);
say('cold starts');
const coldStarts = await compareColdStarts(api, size);
say('stampedes');
const herds = await compareHerds(api);
const expiries = await compareExpiries(api, size);
await api.stop();

const results: Results = {
  at: new Date().toISOString(),
  machine: `${cpus().length} cores of ${cpus()[0]?.model.trim()}, Node ${process.version}; servers and load on the same machine.`,
  http,
  calls,
  filling,
  coldStarts,
  herds,
  expiries,
};
writeFileSync(join(folder, 'results.json'), `${JSON.stringify(results, undefined, 2)}\n`);
writeFileSync(join(folder, 'results.svg'), pictureOf(chartsOf(results)));
console.log(tablesOf(results));
process.exit();
