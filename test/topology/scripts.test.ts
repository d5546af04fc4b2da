// scripts/run.sh as npm calls it: the command, signals, and tests that do not see the caller's servers.

import { copyFileSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { cacheFolder } from '../../scripts/servers/binaries.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { migrate } from '../../src/shared/mysql/migrate.ts';
import { type Environment, start, workerPort } from '../support/command.ts';
import { ownServers, temporaryFolder } from '../support/servers.ts';

const project = fileURLToPath(new URL('../../', import.meta.url));

it('run.sh runs the command from any folder, and passes SIGTERM on', async () => {
  const { redis, mysql } = await ownServers();
  const limits = { connections: 1, idleTransactionSeconds: 60, lockWaitSeconds: 5 };
  const admin = new Database({ url: `${mysql.url}/mysql` }, limits);
  await admin.query('CREATE DATABASE app');
  await admin.close();
  const app = new Database({ url: `${mysql.url}/app` }, limits);
  await migrate(app, 4);
  const folder = await temporaryFolder();
  writeFileSync(join(folder, 'sluice.config.json'), '{"counters":{"page_views":{}}}');
  writeFileSync(join(folder, 'in.ndjson'), '{"counter":"page_views","key":"/"}\n');
  const env: Environment = {
    REDIS_URL: redis.url,
    MYSQL_URL: `${mysql.url}/app`,
    SLUICE_HTTP_PORT: '0',
    SLUICE_CACHE: cacheFolder(),
  };
  const npm = (...args: string[]) =>
    start('npm', ['--prefix', project, 'run', '-s', 'sluice', '--', ...args], env, folder);

  const worker = npm('worker');
  await workerPort(worker);
  // Definitions and input are taken from the folder in which npm was called.
  expect(await npm('ingest', '--json', 'in.ndjson').ended).toEqual({
    code: 0,
    stdout: '{"lines":1,"accepted":1,"duplicates":0,"rejected":0,"nextLine":2}\n',
    stderr: '',
  });
  expect((await npm('drain').ended).code).toBe(0);
  const status = await npm('status', '--json').ended;
  expect({ code: status.code, stderr: status.stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(status.stdout).partitions).toHaveLength(4);
  expect((await npm('statsu').ended).code).toBe(2);
  worker.child.kill('SIGTERM');
  expect((await worker.ended).code).toBe(0);
  expect(worker.stdout()).toMatch(/"signal":"SIGTERM"[^\n]*\n[^\n]*"worker stopped"/);
  expect(String((await app.query('SELECT value FROM sluice_counters'))[0]?.value)).toBe('1');
  await app.close();
});

it('run.sh runs the tests without the servers and settings of the calling shell', async () => {
  // A checkout that needs no set-up, with a test runner that prints its arguments and environment.
  const folder = await temporaryFolder();
  mkdirSync(join(folder, 'scripts'));
  mkdirSync(join(folder, 'node_modules/vitest'), { recursive: true });
  // Copies, since the scripts find their project by their own path.
  for (const name of ['run.sh', 'lib.sh'])
    copyFileSync(join(project, 'scripts', name), join(folder, 'scripts', name));
  writeFileSync(join(folder, 'scripts/setup.sh'), '');
  writeFileSync(
    join(folder, 'node_modules/vitest/vitest.mjs'),
    'console.log(JSON.stringify([process.argv.slice(2), process.env]));',
  );
  const running = start('bash', [join(folder, 'scripts/run.sh'), 'test', '--project', 'unit'], {
    SLUICE_CACHE: folder,
    SLUICE_NAMESPACE: 'production',
    SLUICE_CONFIG: 'production.json',
    REDIS_URL: 'redis://production',
    REDIS_PASSWORD: 'production',
    MYSQL_URL: 'mysql://production/app',
    MYSQL_PWD: 'production',
    UNRELATED: 'kept',
  });
  const { code, stdout, stderr } = await running.ended;
  expect(code, stderr).toBe(0);
  const [args, env] = JSON.parse(stdout);
  expect(args).toEqual(['run', '--project', 'unit']);
  // The output is no terminal.
  expect(env).toMatchObject({ SLUICE_CACHE: folder, UNRELATED: 'kept', NO_COLOR: '1' });
  expect(Object.entries(env).filter(([name, value]) => /production/.test(`${name}${value}`))).toEqual([]);
});

it('setup.sh installs nothing through a node_modules that is a link', async () => {
  const folder = await temporaryFolder();
  for (const name of ['scripts', 'shared']) mkdirSync(join(folder, name));
  for (const name of ['setup.sh', 'lib.sh'])
    copyFileSync(join(project, 'scripts', name), join(folder, 'scripts', name));
  for (const name of ['package.json', 'package-lock.json'])
    copyFileSync(join(project, name), join(folder, name));
  writeFileSync(join(folder, 'shared/kept'), '');
  symlinkSync('shared', join(folder, 'node_modules'));
  const env = { SLUICE_CACHE: cacheFolder() };
  const { code, stderr } = await start('bash', [join(folder, 'scripts/setup.sh'), 'sluice'], env).ended;
  expect(code).toBe(1);
  expect(stderr).toContain(`${folder}/node_modules is a symbolic link`);
  expect(readdirSync(join(folder, 'shared'))).toEqual(['kept']);
});
