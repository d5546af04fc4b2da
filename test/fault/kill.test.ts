// Two workers are killed again and again under load: nothing is lost, nothing counts twice, and flushing
// resumes within five seconds of each kill.

import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { cleanUp } from '../support/cleanup.ts';
import { definitions, openEngine } from '../support/engine.ts';
import { ownServers, temporaryFolder } from '../support/servers.ts';

const KILLS = 8;
const RECOVERY_SECONDS = 5;

it('workers that are killed again and again keep exact counts and flush again within 5 s', {
  timeout: 120_000,
}, async () => {
  const { servers } = await ownServers();
  const engine = await openEngine({ partitions: 8 }, servers);
  const folder = await temporaryFolder();
  const config = join(folder, 'sluice.config.json');
  writeFileSync(config, JSON.stringify(definitions));
  const workers = new Set<ChildProcess>();
  const startWorker = () => {
    const worker = spawn(process.execPath, ['dist-test/cli/main.js', 'worker'], {
      env: {
        PATH: process.env.PATH,
        REDIS_URL: engine.redisUrl,
        MYSQL_URL: engine.mysqlUrl,
        SLUICE_CONFIG: config,
        SLUICE_NAMESPACE: engine.name,
        SLUICE_PARTITIONS: '8',
        SLUICE_HTTP_PORT: '0',
      },
      stdio: 'ignore',
    });
    workers.add(worker);
    worker.once('exit', () => workers.delete(worker));
    return worker;
  };
  cleanUp(() => {
    for (const worker of workers) worker.kill('SIGKILL');
  });
  const sluice = await engine.producer();
  const counted = new Map<string, number>();
  const balances = new Map<string, number>();
  let stop = false;
  const produce = async (lane: number) => {
    for (let n = 0; !stop; n++) {
      const key = `k${(lane * 31 + n) % 200}`;
      const account = `a${(lane + n) % 20}`;
      const results = await sluice.apply([
        { counter: 'views', key, by: 1 + (n % 3) },
        { points: 'loyalty', account, amount: 1 + (n % 5), id: `${lane}-${n}` },
      ]);
      expect(results.every(result => result.ok)).toBe(true);
      counted.set(key, (counted.get(key) ?? 0) + 1 + (n % 3));
      balances.set(account, (balances.get(account) ?? 0) + 1 + (n % 5));
      await new Promise(resolve => setImmediate(resolve));
    }
  };
  const lanes = Array.from({ length: 8 }, (_, lane) => produce(lane));

  const probe = async () => {
    await (await sluice.counter('views').increment('probe')).persisted({ timeoutMs: 30_000 });
    counted.set('probe', (counted.get('probe') ?? 0) + 1);
  };
  // Time to start and flush under this load here, so that a slow machine does not look like a slow recovery.
  const starting = performance.now();
  startWorker();
  startWorker();
  await probe();
  const startSeconds = (performance.now() - starting) / 1000;

  const recoveries: number[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    await probe();
    // Every other time both at once, so that no worker is left to take over.
    const victims = [...workers].slice(0, kill % 2 === 0 ? 1 : 2);
    for (const victim of victims) victim.kill('SIGKILL');
    const killed = performance.now();
    for (const _ of victims) startWorker();
    // Probes of every partition: all of them must flush again.
    const all = await sluice.apply(
      Array.from({ length: 64 }, (_, i) => ({ counter: 'views', key: `probe${i}` })),
    );
    for (let i = 0; i < 64; i++) counted.set(`probe${i}`, (counted.get(`probe${i}`) ?? 0) + 1);
    await Promise.all(
      all.map(result => (result.ok ? result.persisted({ timeoutMs: 30_000 }) : Promise.reject(result.error))),
    );
    recoveries.push((performance.now() - killed) / 1000);
  }
  stop = true;
  await Promise.all(lanes);
  for (const worker of [...workers]) {
    worker.kill('SIGTERM');
    await new Promise(resolve => worker.once('exit', resolve));
  }
  await engine.drain();

  const rows = await engine.database.query('SELECT counter_key, value FROM sluice_counters');
  expect(new Map(rows.map(row => [String(row.counter_key), Number(row.value)]))).toEqual(counted);
  const accounts = await engine.database.query('SELECT account, balance FROM sluice_accounts');
  expect(new Map(accounts.map(row => [String(row.account), Number(row.balance)]))).toEqual(balances);
  console.log(
    `seconds from SIGKILL to the next flush: ${recoveries.map(seconds => seconds.toFixed(1)).join(' ')}`,
  );
  expect(Math.max(...recoveries)).toBeLessThan(RECOVERY_SECONDS + startSeconds);
});
