// Runs `sluice serve`, a worker and the load of the HTTP benchmarks, each as a process, and compares MySQL
// afterwards.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../scripts/servers.ts';
import { KeyStore } from '../src/http/key-store.ts';
import { environmentName } from '../src/shared/config/settings.ts';
import { Program } from './program.ts';
import type { HttpLoadPlan, HttpLoadResult } from './programs/http-load.ts';
import type { Rig, Site } from './rig.ts';
import type { Load, Measurement } from './scenario.ts';
import { CpuMeter, residentMb } from './usage.ts';

const HTTP_KEYS = 100_000;
/** How long the worker may take for what is pending at the end, ms. */
const DRAIN_MS = 120_000;

type Shape = Pick<HttpLoadPlan, 'mode' | 'connections' | 'perSecond'>;

interface Served {
  readonly port: number;
  readonly pid: number;
  readonly key: string;
  stop(): Promise<void>;
}

async function startApi(rig: Rig, { deployment, database, settings }: Site): Promise<Served> {
  const { key } = await new KeyStore(database).create('bench', { scopes: ['write'], rate: 0 }, null);
  const port = await freePort();
  const child = spawn(process.execPath, ['--max-semi-space-size=4', rig.compiled(), 'serve'], {
    env: {
      PATH: process.env.PATH,
      REDIS_URL: deployment.redisUrl,
      MYSQL_URL: deployment.mysqlUrl,
      SLUICE_CONFIG: deployment.config,
      SLUICE_NAMESPACE: deployment.namespace,
      SLUICE_HTTP_PORT: '0',
      SLUICE_API_PORT: String(port),
      SLUICE_DRAIN_MS: '0',
      [environmentName('partitions')]: String(settings.partitions),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  process.once('exit', () => child.kill('SIGKILL'));
  let log = '';
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', part => {
      log += part;
      if (log.includes('"API started"')) resolve();
    });
    child.once('exit', code => reject(new Error(`sluice serve ended with ${code}: ${log}`)));
  });
  return {
    port,
    pid: child.pid!,
    key,
    async stop() {
      if (child.exitCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}

function planOf(load: Load, shape: Shape, port: number, key: string): HttpLoadPlan {
  return { ...shape, port, key, keys: HTTP_KEYS, seconds: load.seconds, warmUpSeconds: load.warmUpSeconds };
}

/** Updates a second that the API answers. */
export function measureHttp(rig: Rig, load: Load, shape: Shape): Promise<Measurement> {
  return rig.withSite(async site => {
    await site.worker(rig.compiled());
    const api = await startApi(rig, site);
    try {
      const client = await Program.start<HttpLoadPlan, HttpLoadResult>(
        'http-load',
        planOf(load, shape, api.port, api.key),
      );
      const cpu = new CpuMeter({
        api: [api.pid],
        client: [client.pid],
        redis: [rig.redisPid],
        mysql: [rig.mysqlPid],
      });
      const before = residentMb(api.pid).now;
      const { accepted, updates, seconds, p50Ms, p99Ms } = await client.go();
      const details = {
        updates,
        seconds,
        p50Ms,
        p99Ms,
        ...cpu.taken(updates),
        rssBeforeMb: before,
        rssAfterMb: residentMb(api.pid).now,
      };
      await client.stop();
      return { value: updates / seconds, difference: await missing(site, accepted), details };
    } finally {
      await api.stop();
    }
  });
}

/** Requests a second of a route that does nothing. */
export async function measureBare(_: Rig, load: Load, shape: Shape): Promise<Measurement> {
  const port = await freePort();
  const server = await Program.start<{ port: number }, void>('bare-api', { port });
  try {
    const client = await Program.start<HttpLoadPlan, HttpLoadResult>(
      'http-load',
      planOf(load, shape, port, 'none'),
    );
    const cpu = new CpuMeter({ api: [server.pid], client: [client.pid] });
    const { updates, seconds, p50Ms, p99Ms } = await client.go();
    const details = { updates, seconds, p50Ms, p99Ms, ...cpu.taken(updates) };
    await client.stop();
    return { value: updates / seconds, difference: 0, details };
  } finally {
    await server.stop();
  }
}

/** How many of the accepted updates are not in MySQL, once the worker is done. */
async function missing({ database }: Site, accepted: number): Promise<number> {
  const end = performance.now() + DRAIN_MS;
  for (;;) {
    const [row] = await database.query('SELECT COALESCE(SUM(value), 0) AS total FROM sluice_counters');
    const difference = Math.abs(accepted - Number(row!.total));
    if (difference === 0 || performance.now() > end) return difference;
    await delay(100);
  }
}
