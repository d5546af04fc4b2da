/** What is measured: each function is one part of the table. */
import { loadHttp } from './http-load.ts';
import { type Api, startApi, withReaders } from './processes.ts';
import type { Report } from './reader.ts';
import { createRandom, createZipf, median } from './traffic.ts';

export interface Size {
  readonly rounds: number;
  readonly seconds: number;
  readonly products: number;
  /** Requests to an empty cache. */
  readonly requests: number;
}
export interface Reads {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly queriesPerSecond: number;
  /** `null` past the cache. */
  readonly hitRate: number | null;
}

const CONNECTIONS = 50;
/** Changes of products each second, under reads with and without the cache. */
const CHANGES = 10;
const PROCESSES = 4;
const CALLERS = 1000;
const EARLY_CALLERS = 25;
const EARLY_MS = 1000;
export const WARM_UP = 500;
const FIRST_REQUESTS = 2000;

const waysOf = (round: number) => (round % 2 === 0 ? [false, true] : [true, false]);
const sum = (reports: readonly Report[], of: keyof Report) =>
  reports.reduce((total, report) => total + report[of], 0);
const greatest = (reports: readonly Report[], of: keyof Report) =>
  Math.max(...reports.map(report => report[of]));

/** The median of each figure over all rounds. */
function middle(rounds: readonly Reads[]): Reads {
  const of = (name: keyof Reads) => median(rounds.map(round => round[name] ?? 0));
  const hitRate = rounds[0]?.hitRate === null ? null : of('hitRate');
  return {
    perSecond: of('perSecond'),
    p50: of('p50'),
    p99: of('p99'),
    queriesPerSecond: of('queriesPerSecond'),
    hitRate,
  };
}

async function readOverHttp(
  api: Api,
  { seconds, products }: Size,
  cached: boolean,
  seed: number,
): Promise<Reads> {
  const draw = createZipf(products, createRandom(seed));
  const nextPath = () => `/products/${draw()}${cached ? '' : '/nocache'}`;
  const drawChange = createZipf(products, createRandom(seed + 1));
  let changes: Promise<unknown> = Promise.resolve();
  const timer = setInterval(() => {
    changes = api
      .send('PUT', `/products/${drawChange()}`, { priceCents: Date.now() % 10_000 })
      .catch(console.error);
  }, 1000 / CHANGES);
  const before = await api.numbers();
  const { perSecond, p50, p99, failed } = await loadHttp({
    port: api.port,
    connections: CONNECTIONS,
    seconds,
    nextPath,
  });
  clearInterval(timer);
  await changes;
  if (failed > 0)
    throw new Error(`${failed} requests were not answered with 200; the figures would mean nothing.`);
  const after = await api.numbers();
  const hitRate = cached ? (after.hits - before.hits) / (after.reads - before.reads) : null;
  return { perSecond, p50, p99, queriesPerSecond: (after.queries - before.queries) / seconds, hitRate };
}

/** With and without the cache, in turns. */
export async function compareHttp(api: Api, size: Size) {
  const rounds = { without: [] as Reads[], with: [] as Reads[] };
  for (const cached of [false, true]) await readOverHttp(api, size, cached, 1);
  for (let round = 0; round < size.rounds; round++)
    for (const cached of waysOf(round))
      rounds[cached ? 'with' : 'without'].push(await readOverHttp(api, size, cached, 100 + round));
  return { without: middle(rounds.without), with: middle(rounds.with) };
}

/** The same without HTTP: what the cache itself does. */
export function compareCalls({ rounds: count, seconds, products }: Size) {
  return withReaders(1, {}, async runAll => {
    const rounds = { without: [] as Reads[], with: [] as Reads[] };
    for (let round = -1; round < count; round++)
      for (const cached of waysOf(Math.abs(round))) {
        const [report] = await runAll({ name: 'reads', cached, seconds, products, seed: 200 + round });
        const { reads, perSecond, p50, p99, queries, hits } = report!;
        if (round < 0) continue;
        const hitRate = cached ? hits / reads : null;
        rounds[cached ? 'with' : 'without'].push({
          perSecond,
          p50,
          p99,
          queriesPerSecond: queries / seconds,
          hitRate,
        });
      }
    return { without: middle(rounds.without), with: middle(rounds.with) };
  });
}

/** From an empty cache: each product is a miss once. */
export async function fillCache(api: Api, { requests, products }: Size) {
  await api.send('POST', '/cache/clear', {});
  const draw = createZipf(products, createRandom(7));
  const before = await api.numbers();
  await loadHttp({
    port: api.port,
    connections: CONNECTIONS,
    requests,
    nextPath: () => `/products/${draw()}`,
  });
  const after = await api.numbers();
  return { requests, products, hitRate: (after.hits - before.hits) / (after.reads - before.reads) };
}

/** The first requests of a process that finds an empty cache. */
export async function compareColdStarts(api: Api, { rounds, products }: Size) {
  const starts = {
    without: [] as (Reads & { startMs: number })[],
    with: [] as (Reads & { startMs: number })[],
  };
  for (let round = 0; round < rounds; round++)
    for (const warm of waysOf(round)) {
      await api.send('POST', '/cache/clear', {});
      const started = await startApi({ WARM_UP: warm ? String(WARM_UP) : '0' });
      const draw = createZipf(products, createRandom(300 + round));
      const before = await started.numbers();
      const load = { port: started.port, connections: CONNECTIONS, requests: FIRST_REQUESTS };
      const { perSecond, p50, p99 } = await loadHttp({ ...load, nextPath: () => `/products/${draw()}` });
      const after = await started.numbers();
      await started.stop();
      const hitRate = (after.hits - before.hits) / (after.reads - before.reads);
      const queriesPerSecond = after.queries - before.queries;
      starts[warm ? 'with' : 'without'].push({
        perSecond,
        p50,
        p99,
        queriesPerSecond,
        hitRate,
        startMs: started.startMs,
      });
    }
  const figures = (rounds: (Reads & { startMs: number })[]) => {
    const { queriesPerSecond: queries, ...rest } = middle(rounds);
    return { ...rest, queries, startMs: median(rounds.map(({ startMs }) => startMs)) };
  };
  return { requests: FIRST_REQUESTS, without: figures(starts.without), with: figures(starts.with) };
}

/** 1,000 callers of one product that is not in the cache, over four processes. The query takes 50 ms. */
export async function compareHerds(api: Api) {
  const herds: { way: string; queries: number; longestMs: number }[] = [];
  for (const [way, more] of Object.entries(HERDS)) {
    await api.send('POST', '/cache/clear', {});
    const reports = await withReaders(PROCESSES, more, runAll =>
      runAll({ name: 'herd', id: 1, callers: CALLERS / PROCESSES }),
    );
    herds.push({ way, queries: sum(reports, 'queries'), longestMs: greatest(reports, 'longest') });
  }
  return herds;
}

const HERDS = {
  none: { STAMPEDE: 'none' },
  'once for each process': { STAMPEDE: 'process' },
  'lock: once for all processes': { STAMPEDE: 'lock' },
};

/** One product that all read all the time and that is fresh for a second. The query takes 50 ms. */
export async function compareExpiries(api: Api, { seconds }: Size) {
  const expiries: { way: string; queries: number; waited: number; p99: number; longestMs: number }[] = [];
  for (const [way, more] of Object.entries(EXPIRIES)) {
    await api.send('POST', '/cache/clear', {});
    const env = { PRODUCT_FRESH_MS: String(EARLY_MS), ...more };
    const reports = await withReaders(PROCESSES, env, async runAll => {
      // The first load is no expiry.
      await runAll({ name: 'herd', id: 2, callers: 1 });
      return runAll({ name: 'steady', id: 2, callers: EARLY_CALLERS, seconds });
    });
    expiries.push({
      way,
      queries: sum(reports, 'queries') / seconds,
      waited: sum(reports, 'waited') / sum(reports, 'reads'),
      p99: greatest(reports, 'p99'),
      longestMs: greatest(reports, 'longest'),
    });
  }
  return expiries;
}

const EXPIRIES = {
  none: { STAMPEDE: 'none', EARLY_REFRESH: 'none' },
  lock: { STAMPEDE: 'lock', EARLY_REFRESH: 'none' },
  'lock, early by chance (XFetch)': { STAMPEDE: 'lock', EARLY_REFRESH: 'chance' },
  'lock, refresh ahead': { STAMPEDE: 'lock', EARLY_REFRESH: 'ahead' },
};
