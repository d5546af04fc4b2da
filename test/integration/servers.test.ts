// The servers are those of the project's name: a test on the wrong version proves nothing.

import { Redis } from 'ioredis';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { expect, inject, test } from 'vitest';
import { openEngine } from '../support/engine.ts';

test('the Redis server has the right flavour and is durable', async () => {
  const redis = new Redis(inject('redisUrl'));
  try {
    const info = await redis.info();
    const promised = {
      redis7: /^redis_version:7\./m,
      redis8: /^redis_version:8\./m,
      valkey9: /^valkey_version:9\./m,
    };
    expect(info).toMatch(promised[inject('redisFlavour')]);
    expect(info).toMatch(/^aof_enabled:1/m);
    expect(info).toMatch(/^maxmemory_policy:noeviction/m);
  } finally {
    redis.disconnect();
  }
});

test('the MySQL server has the right flavour and is durable', async () => {
  const mysql = await createConnection(inject('mysqlUrl'));
  try {
    const [rows] = await mysql.query<RowDataPacket[]>(
      'SELECT VERSION() AS version, @@innodb_flush_log_at_trx_commit AS flush, @@sync_binlog AS binlog',
    );
    const promised = { mariadb: /^10\.11\..*MariaDB/, mysql97: /^9\.7\./ };
    expect(rows[0]?.version).toMatch(promised[inject('mysqlFlavour')]);
    expect(rows[0]).toMatchObject({ flush: 1, binlog: 1 });
  } finally {
    await mysql.end();
  }
});

test('a process that was busy while the server closed its idle connection uses another one', async () => {
  const engine = await openEngine({ idleTransactionSeconds: 2 });
  const { database } = engine.own;
  const id = async () => Number((await database.query('SELECT CONNECTION_ID() AS id'))[0]!.id);
  const first = await id();
  expect(await id()).toBe(first);
  // Blocks the event loop for longer than the session's wait_timeout.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3500);
  expect(await id()).not.toBe(first);
});
