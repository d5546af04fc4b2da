// How deploy/ecs creates the users of MySQL: with the rights of docs/rights.md, no password for strangers.

import { join } from 'node:path';
import { expect, it } from 'vitest';
import { USERS_ENTRY_POINT, USERS_SCRIPT } from '../../deploy/ecs/src/users-command.ts';
import { makeCertificates } from '../../scripts/servers/certificates.ts';
import { startMysql } from '../../scripts/servers.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { migrate } from '../../src/shared/mysql/migrate.ts';
import { checkSchema } from '../../src/shared/start-checks.ts';
import { cleanUp } from '../support/cleanup.ts';
import { start } from '../support/command.ts';
import { temporaryFolder } from '../support/servers.ts';

const limits = { connections: 1, idleTransactionSeconds: 60, lockWaitSeconds: 5 };

async function openMysql() {
  const folder = await temporaryFolder();
  const mysql = await startMysql({ flavour: 'mysql97', directory: folder, tls: true });
  cleanUp(() => mysql.discard());
  const caFile = mysql.caFile!;
  const open = (user: string, password: string) => {
    const url = `mysql://${user}@127.0.0.1:${mysql.port}/app`;
    const database = new Database({ url, password, caFile }, limits);
    cleanUp(() => database.close());
    return database;
  };
  const root = new Database({ url: `${mysql.url}/mysql`, caFile }, limits);
  cleanUp(() => root.close());
  await root.query('CREATE DATABASE app');
  await root.query("CREATE USER admin IDENTIFIED BY 'of-the-admin'");
  await root.query('GRANT ALL ON *.* TO admin WITH GRANT OPTION');
  const given = {
    MYSQL_HOST: 'localhost',
    MYSQL_PORT: String(mysql.port),
    MYSQL_DATABASE: 'app',
    ADMIN_USER: 'admin',
    ADMIN_PASSWORD: 'of-the-admin',
    WORKER_USER: 'sluice',
    WORKER_PASSWORD: "it's $1",
    MIGRATE_USER: 'sluice_migrate',
    MIGRATE_PASSWORD: 'of-the-migration',
  };
  const [, ...args] = USERS_ENTRY_POINT;
  return {
    folder,
    root,
    caFile,
    open,
    makeUsers: (env: Record<string, string>) =>
      start(process.execPath, [...args, USERS_SCRIPT], { ...given, ...env }).ended,
  };
}

it('the program creates users with their rights, and updates changed passwords', async () => {
  const { open, makeUsers, caFile } = await openMysql();
  expect(await makeUsers({ MYSQL_CA: caFile })).toMatchObject({ code: 0, stderr: '' });
  await migrate(open('sluice_migrate', 'of-the-migration'), 4);
  const worker = open('sluice', "it's $1");
  await checkSchema(worker, 4, 'sluice');
  await expect(worker.query('CREATE TABLE x (y INT)')).rejects.toMatchObject({
    code: 'ER_TABLEACCESS_DENIED_ERROR',
  });

  expect(await makeUsers({ MYSQL_CA: caFile, WORKER_PASSWORD: 'a new one' })).toMatchObject({ code: 0 });
  await open('sluice', 'a new one').query('SELECT 1');
  await expect(open('sluice', "it's $1").query('SELECT 1')).rejects.toMatchObject({
    code: 'ER_ACCESS_DENIED_ERROR',
  });
});

it('the program creates the user of the example shop if it is named, with the rights of a worker', async () => {
  const { root, open, makeUsers, caFile } = await openMysql();
  expect(
    await makeUsers({ MYSQL_CA: caFile, SHOP_USER: 'shop', SHOP_PASSWORD: 'of-the-shop' }),
  ).toMatchObject({
    code: 0,
    stderr: '',
  });
  const grants = async (user: string) =>
    (await root.query(`SHOW GRANTS FOR '${user}'@'%'`)).map(row => String(Object.values(row)[0]));
  expect(await grants('shop')).toEqual(
    (await grants('sluice')).map(grant => grant.replaceAll('sluice', 'shop')),
  );
  await open('shop', 'of-the-shop').query('SELECT 1');
});

it('the program sends no password to a server with a wrong certificate, and logs none', async () => {
  const { folder, root, makeUsers, caFile } = await openMysql();
  const users = async () =>
    (await root.query("SELECT user FROM mysql.user WHERE user LIKE 'sluice%'")).map(({ user }) => user);
  // The default authorities are those of RDS.
  const unknown = await makeUsers({});
  expect(unknown).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('HANDSHAKE') });

  await makeCertificates(join(folder, 'tls'), 'DNS:elsewhere.example');
  await root.query('ALTER INSTANCE RELOAD TLS');
  const elsewhere = await makeUsers({ MYSQL_CA: caFile });
  expect(elsewhere).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringContaining('elsewhere.example'),
  });
  expect(await users()).toEqual([]);

  await makeCertificates(join(folder, 'tls'));
  await root.query('ALTER INSTANCE RELOAD TLS');
  const refused = await makeUsers({ MYSQL_CA: caFile, MYSQL_DATABASE: 'x'.repeat(65) });
  expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('ER_') });
  for (const { stderr } of [unknown, elsewhere, refused]) expect(stderr).not.toMatch(/of-the-|it's/);
});
