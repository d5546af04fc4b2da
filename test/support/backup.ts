/**
 * Backups of an engine's data on either server, restored while the servers run, and records of recoveries.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Recovery, type RecoverySeam } from '../../src/recovery/recover.ts';
import type { Settings } from '../../src/shared/config/settings.ts';
import { cleanUp } from './cleanup.ts';
import { sluiceCheaply } from './command.ts';
import { Crash, definitions, type Engine, openEngine } from './engine.ts';
import { temporaryFolder } from './servers.ts';

/** An engine with one partition, and the `sluice` command for it. */
export async function openWithCommand(settings: Partial<Settings> = {}) {
  const engine = await openEngine({ partitions: 1, ...settings });
  const config = join(await temporaryFolder(), 'sluice.config.json');
  writeFileSync(config, JSON.stringify(definitions));
  const env = {
    REDIS_URL: engine.redisUrl,
    MYSQL_URL: engine.mysqlUrl,
    SLUICE_CONFIG: config,
    SLUICE_NAMESPACE: engine.name,
    SLUICE_PARTITIONS: '1',
  };
  return {
    engine,
    sluice: await engine.producer(),
    command: (...args: string[]) => sluiceCheaply(args, env),
  };
}

/** A recovery that crashes at a step, if one is given. */
export function recoveryOf(
  engine: Engine,
  crashAt?: Parameters<RecoverySeam>[0],
  pageSize?: number,
): Recovery {
  const seam: RecoverySeam = step => {
    if (step === crashAt) throw new Crash(step);
  };
  return new Recovery(engine.own.redis, engine.own.database, engine.keys, seam, pageSize);
}

export async function declared({ database }: Engine) {
  const rows = await database.query(
    "SELECT kind, cause, updates FROM sluice_losses WHERE cause LIKE 'recover-%' ORDER BY found_at",
  );
  return rows.map(row => ({ kind: row.kind, cause: String(row.cause), updates: Number(row.updates) }));
}

export async function operations({ database }: Engine) {
  const rows = await database.query(
    'SELECT id, action, operator, reason, finished_at IS NOT NULL AS done FROM sluice_operations ORDER BY id',
  );
  return rows.map(row => ({ ...row, id: Number(row.id), done: Number(row.done) === 1 }));
}

const TABLES = [
  'counters',
  'accounts',
  'entries',
  'partitions',
  'batches',
  'quarantine',
  'holds',
  'open_holds',
  'losses',
  'operations',
];

/** Copies Sluice's tables; the returned function restores them. */
export async function backUpMysql({ database }: Engine): Promise<() => Promise<void>> {
  for (const table of TABLES) {
    await database.query(`CREATE TABLE backup_${table} LIKE sluice_${table}`);
    await database.query(`INSERT INTO backup_${table} SELECT * FROM sluice_${table}`);
  }
  return async () => {
    for (const table of TABLES) {
      await database.query(`DELETE FROM sluice_${table}`);
      await database.query(`INSERT INTO sluice_${table} SELECT * FROM backup_${table}`);
    }
  };
}

/** Copies the namespace's keys; the returned function restores them. */
export async function backUpRedis(engine: Engine): Promise<() => Promise<void>> {
  const { redis } = engine;
  // Copied inside the server, since large values must not pass a server with small limits.
  const saved = await keysOf(engine);
  const copyOf = (name: string) => `backup:${name}`;
  for (const name of saved) await redis.copy(name, copyOf(name), 'REPLACE');
  cleanUp(async () => {
    if (saved.length > 0) await redis.del(saved.map(copyOf));
  });
  return async () => {
    const names = await keysOf(engine);
    if (names.length > 0) await redis.del(names);
    for (const name of saved) await redis.copy(copyOf(name), name);
  };
}

/** The contents of both servers, to check that nothing has changed. */
export async function contents(engine: Engine): Promise<unknown> {
  const tables: Record<string, unknown> = {};
  for (const table of TABLES)
    tables[table] = JSON.stringify(await engine.database.query(`SELECT * FROM sluice_${table}`));
  const redis = (await dump(engine))
    // Keys that expire within seconds would look like a change.
    .filter(({ name }) => !/:last/.test(name))
    .map(({ name, value }) => [name, value.toString('base64')]);
  return { tables, redis: Object.fromEntries(redis) };
}

function keysOf({ redis, name }: Engine): Promise<string[]> {
  return redis.keys(`{${name}:*}:*`);
}

async function dump(engine: Engine) {
  const saved: { name: string; ttl: number; value: Buffer }[] = [];
  for (const name of await keysOf(engine)) {
    const value = await engine.redis.dumpBuffer(name);
    if (value) saved.push({ name, ttl: await engine.redis.pttl(name), value });
  }
  return saved;
}
