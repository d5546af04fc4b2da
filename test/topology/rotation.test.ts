// Passwords that change while processes run: an outage until the new one is known, but no restart.

import { writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { redisCall } from '../../scripts/servers/redis-protocol.ts';
import { openQueue } from '../../src/shared/redis/queue.ts';
import { jsonLines, openDeployment } from '../support/command.ts';
import { openEngine, until } from '../support/engine.ts';
import { ownCluster, ownServers } from '../support/servers.ts';

const [OLD, NEW] = ['first-1f3a', 'second-9c2e'];

it('each new connection reads its password from the file', async () => {
  const { servers } = await ownServers();
  const deployment = await openDeployment({ counters: { views: {} } }, { servers });
  const { name, redis, database } = deployment;
  const user = `${name}_r`;
  await redis.call('ACL', 'SETUSER', user, 'on', `>${OLD}`, '~*', '&*', '+@all');
  await database.query(`CREATE USER ${user}@'%' IDENTIFIED BY '${OLD}'`);
  await database.query(`GRANT ALL ON ${name}.* TO ${user}@'%'`);
  const files = {
    redis: deployment.file('redis-password', OLD),
    mysql: deployment.file('mysql-password', `${OLD}\n`),
  };
  const withUser = (url: string) => url.replace(/\/\/(?:[^@]*@)?/, `//${user}@`);
  const env = {
    REDIS_URL: withUser(deployment.env.REDIS_URL!),
    REDIS_PASSWORD_FILE: files.redis,
    MYSQL_URL: withUser(deployment.env.MYSQL_URL!),
    MYSQL_PASSWORD_FILE: files.mysql,
  };
  const worker = await deployment.worker(env);
  let sent = 0;
  const flushed = async () => {
    const line = '{"counter":"views","key":"k"}\n';
    expect(await deployment.sluice(['ingest', '-'], {}, line)).toMatchObject({ code: 0 });
    sent++;
    const rows = () => deployment.database.query('SELECT value FROM sluice_counters');
    await until(async () => Number((await rows())[0]?.value) === sent, 'the update in MySQL');
  };
  await flushed();

  // MySQL: the old password ends, and so does every session that used it.
  await database.query(`ALTER USER ${user}@'%' IDENTIFIED BY '${NEW}'`);
  // By SHOW: see test/support/process-list.ts.
  const sessions = (await database.query('SHOW PROCESSLIST')).filter(({ User }) => User === user);
  for (const { Id } of sessions) await database.query(`KILL ${Number(Id)}`).catch(() => {});
  expect(await deployment.sluice(['ingest', '-'], {}, '{"counter":"views","key":"k"}\n')).toMatchObject({
    code: 0,
  });
  sent++;
  await until(() => worker.stdout().includes('the database refuses the login'), 'the refusal to be told');
  writeFileSync(files.mysql, NEW);
  await flushed();

  // The same for Redis.
  await redis.call('ACL', 'SETUSER', user, 'resetpass', `>${NEW}`);
  await redis.call('CLIENT', 'KILL', 'USER', user);
  await until(() => worker.stdout().includes('WRONGPASS'), 'the refusal to be told');
  writeFileSync(files.redis, NEW);
  await flushed();

  const queue = openQueue(redis, deployment.keys);
  expect(await queue.getFailedCount()).toBe(0);
  await queue.close();
  worker.child.kill('SIGTERM');
  const end = await worker.ended;
  expect(end.code).toBe(0);
  const lines = jsonLines(end.stdout);
  const refused = lines.filter(({ msg }) => String(msg).includes('the database refuses the login'));
  expect(refused.length).toBeLessThanOrEqual(3);
  expect(refused[0]).toMatchObject({ level: 'error', err: { code: 'ER_ACCESS_DENIED_ERROR' } });
  expect(end.stdout + end.stderr).not.toMatch(new RegExp(`${OLD}|${NEW}`));
});

it("each new connection to a Cluster's node asks for its password, in producers and workers", async () => {
  const { cluster, servers } = await ownCluster();
  const onAll = (...command: string[]) => Promise.all(cluster.nodes.map(node => redisCall(node, command)));
  await onAll('ACL', 'SETUSER', 'r', 'on', `>${OLD}`, '~*', '&*', '+@all');
  let password = OLD;
  const redis = { url: cluster.url.replace('://', '://r@'), password: () => password };
  const engine = await openEngine({ callTimeoutMs: 500 }, servers);
  await engine.worker({}, {}, { redis });
  const views = (await engine.producer({}, { redis })).counter('views');
  // Enough keys for at least one on each master.
  const keys = Array.from({ length: 12 }, (_, n) => `k${n}`);
  const increment = (key: string) => views.increment(key);
  for (const receipt of await Promise.all(keys.map(increment))) await receipt.persisted();

  await onAll('ACL', 'SETUSER', 'r', 'resetpass', `>${NEW}`);
  await onAll('CLIENT', 'KILL', 'USER', 'r');
  await until(async () => {
    const codes = await Promise.all(keys.map(key => increment(key).catch(error => error.code)));
    return codes.includes('ACCESS_DENIED');
  }, 'the refusal to be told');
  password = NEW;
  for (const key of keys) {
    await until(async () => {
      const receipt = await increment(key).catch(() => undefined);
      await receipt?.persisted();
      return receipt !== undefined;
    }, `${key} to be taken and written`);
  }
});
