// Time for which a script blocks Redis: the largest calls that the default limits allow, one at a time, while
// nothing else runs. In other scenarios, times in SLOWLOG include waiting for one of two cores.

import { createHash } from 'node:crypto';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { definitions } from '../../scripts/load/traffic.ts';
import { createProducer } from '../../src/producer/producer.ts';
import { Inspector } from '../../src/shared/redis/inspect.ts';
import { Keys } from '../../src/shared/redis/keys.ts';
import { readScript } from '../../src/shared/redis/read-script.ts';
import { valueAtRisk } from '../../src/shared/redis/value-at-risk.ts';
import { Flight } from '../../src/worker/flight.ts';
import type { Site } from '../rig.ts';
import type { Scenario } from '../scenario.ts';
import { sized } from '../trial.ts';

const files = {
  apply: 'producer/apply.lua',
  read: 'producer/read.lua',
  load: 'shared/values/load.lua',
  inspect: 'shared/redis/inspect.lua',
  claim: 'worker/claim.lua',
  ack: 'worker/ack.lua',
  trim: 'worker/trim.lua',
  atRisk: 'shared/redis/value-at-risk.lua',
} as const;
type Script = keyof typeof files;

/**
 * Finds a call by the script's hash, or by its text at a connection's first call; SLOWLOG truncates the text.
 */
function callsOf(script: Script): (what: string) => boolean {
  const lua = readScript(new URL(`../../src/${files[script]}`, import.meta.url));
  const hash = createHash('sha1').update(lua).digest('hex');
  return what => what === hash || (what.length > 100 && lua.startsWith(what.slice(0, 100)));
}

const BATCHES = sized(5, 2);
/** A trial makes small batches. */
const SIZES = sized({}, { batchKeys: 500, batchEntries: 200 });
/** Accounts that are read at once. */
const AT_ONCE = 50;

export const scripts: Scenario = {
  name: 'scripts',
  title: 'the longest script by itself, of each the median of its largest calls',
  unit: 'ms',
  run: rig =>
    rig.withSite(async site => {
      const details = await measure(site);
      return { value: Math.max(...Object.values(details)), difference: 0, details };
    }),
};

/** Not all at once: each is a statement, and on a busy machine the last ones would wait too long. */
async function makeLive(read: (key: string) => Promise<number>, keys: readonly string[]): Promise<void> {
  for (let from = 0; from < keys.length; from += AT_ONCE)
    await Promise.all(keys.slice(from, from + AT_ONCE).map(read));
}

async function measure({ deployment, settings: given }: Site): Promise<Record<string, number>> {
  // How long MySQL takes for 10,000 cold values does not matter here.
  const settings = { ...given, ...SIZES, idempotencyWindowMs: 1000, statementTimeoutMs: 600_000 };
  const redis = new Redis(deployment.redisUrl);
  const keys = new Keys(deployment.namespace, settings.partitions);
  const flight = new Flight(redis, keys, settings);
  const servers = { redis: deployment.redisUrl, mysql: deployment.mysqlUrl, namespace: deployment.namespace };
  const sluice = await createProducer({ ...servers, definitions, settings, log: pino({ level: 'silent' }) });
  keys.deployment = (await redis.hget(keys.format, 'deployment'))!;
  const found: Record<string, number> = {};
  /** Does some work, and records the median of the script's calls in it. */
  const time = async (name: string, script: Script, work: () => Promise<unknown>): Promise<void> => {
    await redis.slowlog('RESET');
    await work();
    const isCall = callsOf(script);
    const entries = (await redis.slowlog('GET', 10_000)) as [number, number, number, string[]][];
    const calls = entries.filter(([, , , [, what, , key]]) => key === keys.state(0) && isCall(what ?? ''));
    const took = calls.map(([, , microseconds]) => microseconds / 1000).sort((a, b) => a - b);
    if (took.length === 0) throw new Error(`${script} was not called`);
    found[name] = took[took.length >> 1]!;
  };
  const ofOnePartition = (prefix: string, count: number) => {
    const names: string[] = [];
    for (let n = 0; names.length < count; n++)
      if (keys.partitionOf(`${prefix}${n}`) === 0) names.push(`${prefix}${n}`);
    return names;
  };
  const [threshold, length] = (
    await Promise.all(['slowlog-log-slower-than', 'slowlog-max-len'].map(name => redis.config('GET', name)))
  ).map(answer => (answer as string[])[1]!);
  // With a lower limit, the commands that scripts call would fill the log.
  await redis.config('SET', 'slowlog-log-slower-than', '15');
  await redis.config('SET', 'slowlog-max-len', '10000');
  try {
    const pages = ofOnePartition('/some/page/', BATCHES * settings.batchKeys);
    const accounts = ofOnePartition('account-', settings.batchEntries);
    const increments = pages.map(key => ({ counter: 'page_views', key }) as const);
    const credits = Array.from({ length: BATCHES * settings.batchEntries }, (_, n) => {
      const account = accounts[n % accounts.length]!;
      return { points: 'loyalty', account, amount: 5, id: `order-${n}`, reason: 'purchase' } as const;
    });
    await makeLive(account => sluice.points('loyalty').balance(account), accounts);
    const read = () => sluice.counter('page_views').getMany(pages.slice(0, 10_000));
    await time('loadMs', 'load', read);
    await time('readMs', 'read', read);
    const live = increments.slice(0, settings.microBatch);
    await time('applyLiveMs', 'apply', () => sluice.apply(Array(20).fill(live).flat()));
    await time('applyMs', 'apply', () => sluice.apply(increments));
    await time('applyEntriesMs', 'apply', () => sluice.apply(credits));
    await time('atRiskMs', 'atRisk', valueAtRisk(redis, keys));
    await time('inspectMs', 'inspect', () => new Inspector(redis, keys).partition(0));
    const flushed = async () => {
      for (let n = 0; n < BATCHES; n++)
        await flight.ack((await flight.claim(0))!, { late: [], quarantined: 0 });
    };
    await time('claimMs', 'claim', flushed);
    await sluice.apply(credits.map(credit => ({ ...credit, id: `later-${credit.id}` })));
    await time('ackMs', 'ack', flushed);
    await new Promise(resolve => setTimeout(resolve, settings.idempotencyWindowMs));
    await time('trimMs', 'trim', () => flight.trim(0));
  } finally {
    await sluice.close();
    await redis.config('SET', 'slowlog-log-slower-than', threshold!);
    await redis.config('SET', 'slowlog-max-len', length!);
    redis.disconnect();
  }
  return found;
}
