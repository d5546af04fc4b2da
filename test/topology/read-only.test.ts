// A database that takes no writes: read-only commands work, the others say why they do not.

import { expect, it } from 'vitest';
import { openDeployment } from '../support/command.ts';
import { ownServers } from '../support/servers.ts';

const LOOKS = [['status'], ['verify'], ['failed', 'list'], ['recover']];
const UPDATE = '{"counter":"views","key":"k"}\n';
const AT_ONCE = { SLUICE_START_WAIT_MS: '0' };

it('read-only commands work on a read-only database, and the others name the reason', async () => {
  const { servers, mysql } = await ownServers();
  const deployment = await openDeployment({ counters: { views: {} } }, { servers });
  const { database, sluice } = deployment;
  const isMariadb = /mariadb/i.test(mysql.version);
  const setReadOnly = async (value: 0 | 1) => {
    await database.query(`SET GLOBAL ${isMariadb ? 'read_only' : 'super_read_only'} = ${value}`);
    if (!isMariadb) await database.query(`SET GLOBAL read_only = ${value}`);
  };

  // Nobody has used this database yet, so it does not have the namespace either.
  await setReadOnly(1);
  for (const command of LOOKS) {
    const { code, stderr } = await sluice(command, AT_ONCE);
    expect({ command, code }).toEqual({ command, code: 0 });
    expect(stderr).toMatch(/takes no writes now \((super_)?read_only is ON\)/);
  }
  const refusals = [
    await sluice(['ingest', '-'], AT_ONCE, UPDATE),
    await sluice(['recover', '--yes', '--operator', 'o'], AT_ONCE),
    await sluice(['migrate'], { ...AT_ONCE, MYSQL_URL: deployment.access.admin.mysqlUrl }),
  ];
  for (const { code, stderr } of refusals) {
    expect(code).toBe(3);
    expect(stderr).toMatch(
      /DATABASE_UNAVAILABLE: .* cannot be used now \(it is read-only\); make it writable/,
    );
  }

  // No host of the list takes writes, so the first that answers is read.
  const { port } = new URL(deployment.env.MYSQL_URL!);
  const list = deployment.env.MYSQL_URL!.replace(/@[^/]*/, `@127.0.0.1:${port},localhost:${port}`);
  const status = await sluice(['status', '--json'], { ...AT_ONCE, MYSQL_URL: list });
  expect(status.code).toBe(0);
  expect(JSON.parse(status.stdout)).toMatchObject({ quarantined: 0, database: { writes: 'no' } });
  expect(await sluice(['ingest', '-'], { ...AT_ONCE, MYSQL_URL: list }, UPDATE)).toMatchObject({
    code: 3,
    stderr: expect.stringContaining('read_only is ON'),
  });
  await setReadOnly(0);
});

it('read-only commands work under a global lock, and with an unsuitable mapped table', async () => {
  const { servers } = await ownServers();
  const deployment = await openDeployment({ counters: { views: {} } }, { servers });
  expect(await deployment.sluice(['ingest', '-'], {}, UPDATE)).toMatchObject({ code: 0 });
  const target = { table: 'posts', key: 'id', column: 'views' };
  const mapped = {
    SLUICE_CONFIG: deployment.file('mapped.json', JSON.stringify({ counters: { views: { target } } })),
  };
  await deployment.database.session(async connection => {
    await connection.query('FLUSH TABLES WITH READ LOCK');
    expect(await deployment.sluice(['verify'], AT_ONCE)).toMatchObject({ code: 0, stderr: '' });
    for (const command of [['status'], ['failed', 'list'], ['recover']])
      expect(await deployment.sluice(command, { ...AT_ONCE, ...mapped })).toMatchObject({
        code: 0,
        stderr: '',
      });
    const { code, stderr } = await deployment.sluice(['recover', '--yes', '--operator', 'o'], AT_ONCE);
    expect(code).toBe(3);
    expect(stderr).toContain('(another session holds a lock); find its holder with SHOW PROCESSLIST');
    await connection.query('UNLOCK TABLES');
  });
  const verified = await deployment.sluice(['verify'], { ...AT_ONCE, ...mapped });
  expect(verified.code).toBe(2);
  expect(verified.stderr).toContain('DATABASE_UNSUITABLE: The counter "views" cannot be mapped to posts');
});
