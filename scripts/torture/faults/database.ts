/** A database that is killed, is read-only for a while, or holds row locks against the workers. */
import { setTimeout as delay } from 'node:timers/promises';
import type { PoolConnection, RowDataPacket } from 'mysql2/promise';
import { Keys } from '../../../src/shared/redis/keys.ts';
import type { SingleDatabase } from '../servers.ts';
import { namespace } from '../stack.ts';
import { partitions } from '../traffic.ts';
import { between, type Fault, now, type Scene } from './fault.ts';

const single: readonly SingleDatabase[] = ['mariadb', 'mysql97'];

export const databaseRestart: Fault = {
  kind: 'databaseRestart',
  databases: single,
  weight: 1,
  isOutage: true,
  async run({ stack, random }) {
    const ms = between(random, 0, 2000);
    stack.mysql.kill('SIGKILL');
    await delay(ms);
    await stack.mysql.restart();
    return { what: `SIGKILL of the database, started again after ${ms} ms`, since: now() };
  },
};

export const databaseReadOnly: Fault = {
  kind: 'databaseReadOnly',
  databases: single,
  weight: 1,
  isOutage: true,
  async run({ stack, random }) {
    const ms = between(random, 500, 2500);
    // The processes' user cannot write then; in MySQL, the first variable also stops root.
    const name = stack.database === 'mariadb' ? 'read_only' : 'super_read_only';
    await stack.root.query(`SET GLOBAL ${name} = 1`);
    await delay(ms);
    await stack.root.query(`SET GLOBAL ${name} = 0`);
    await stack.root.query('SET GLOBAL read_only = 0');
    return { what: `read-only for ${ms} ms`, since: now() };
  },
};

/** A lock as for a backup: no writes, and every writer waits. */
export const databaseReadLock: Fault = {
  kind: 'databaseReadLock',
  databases: single,
  weight: 1,
  isOutage: true,
  async run({ stack, random }) {
    const ms = between(random, 500, 4000);
    const connection = await stack.root.getConnection();
    try {
      await connection.query('FLUSH TABLES WITH READ LOCK');
      await delay(ms);
      await connection.query('UNLOCK TABLES');
    } finally {
      connection.destroy();
    }
    return { what: `FLUSH TABLES WITH READ LOCK for ${ms} ms`, since: now() };
  },
};

const rounds = 3;
const hotKeys = 60;
/** More rows than a flush writes, so that the flush is the cheaper transaction to roll back. */
const ballast = 3000;
const deadlockCode = 1213;

/** Locks hot rows of one partition from last to first, while workers lock them from first to last. */
export const deadlock: Fault = {
  kind: 'deadlock',
  databases: single,
  async run(scene) {
    const keys = await hotKeysOfOnePartition(scene);
    const connection = await scene.stack.root.getConnection();
    let lost = 0;
    try {
      await connection.query('SET SESSION innodb_lock_wait_timeout = 3');
      for (let round = 0; round < rounds; round++) {
        if (await lockBackwards(connection, keys, scene)) lost++;
      }
    } finally {
      connection.destroy();
    }
    const ended = lost > 0 ? `, ${lost} of them ended by the database` : '';
    return { what: `${rounds} transactions that lock ${keys.length} rows backwards${ended}`, since: now() };
  },
};

async function hotKeysOfOnePartition({ stack, random }: Scene): Promise<string[]> {
  const [rows] = await stack.root.query<RowDataPacket[]>(
    'SELECT counter_key FROM sluice_counters WHERE counter = ? ORDER BY value DESC LIMIT ?',
    [Buffer.from('views'), hotKeys],
  );
  const keys = rows.map(row => String(row.counter_key));
  const owner = new Keys(namespace, partitions);
  const groups = [...Map.groupBy(keys, key => owner.partitionOf(key)).values()].filter(
    group => group.length > 1,
  );
  return groups[Math.floor(random() * groups.length)]!.sort();
}

/** Whether the database rolled back this transaction and not the worker's. */
async function lockBackwards(
  connection: PoolConnection,
  keys: string[],
  { random }: Scene,
): Promise<boolean> {
  const numbers = Array.from({ length: ballast }, (_, number) => `(${number})`).join();
  try {
    await connection.query('START TRANSACTION');
    // In half of the cases the worker should lose.
    if (random() < 0.5) await connection.query(`INSERT INTO scratch.ballast VALUES ${numbers}`);
    for (const key of keys.toReversed()) {
      await connection.query(
        'SELECT value FROM sluice_counters WHERE counter = ? AND counter_key = ? FOR UPDATE',
        [Buffer.from('views'), Buffer.from(key)],
      );
      await delay(between(random, 5, 60));
    }
    return false;
  } catch (error) {
    if ((error as { errno?: number }).errno === deadlockCode) return true;
    throw error;
  } finally {
    await connection.query('ROLLBACK').catch(() => {});
  }
}
