// `sluice users`: who may use the console.

import { expect, it } from 'vitest';
import { Sessions } from '../../src/console/sessions.ts';
import { Users } from '../../src/console/users.ts';
import { createLog } from '../../src/shared/log.ts';
import { openDeployment } from '../support/command.ts';

const PASSWORD = 'correct horse battery';

it('users are added, listed, changed and removed, and no password is an argument or kept', async () => {
  const deployment = await openDeployment({});
  const users = (...args: string[]) => deployment.sluice(['users', ...args]);
  const withInput = (...args: string[]) => deployment.sluice(['users', ...args], {}, `${PASSWORD}\n`);
  expect((await users('list')).stdout).toBe('no users yet; add one with sluice users add\n');
  expect(await withInput('add', 'alice@example.com', '--role', 'operator')).toMatchObject({
    code: 0,
    stdout: 'alice@example.com is a user with the role operator\n',
  });
  const made = await users('add', 'bob', '--role', 'viewer', '--generate');
  expect(made.stdout).toMatch(/^([2-9a-z]{5}-){3}[2-9a-z]{5}\n$/);
  const accounts = new Users(() => deployment.database);
  expect(await accounts.check('Alice@example.com', PASSWORD)).toMatchObject({ name: 'alice@example.com' });
  expect(await accounts.check('bob', made.stdout.trim())).toMatchObject({ name: 'bob' });
  expect(await accounts.check('bob', PASSWORD)).toBeUndefined();
  const rows = await deployment.database.query('SELECT * FROM sluice_users');
  expect(JSON.stringify(rows)).not.toContain(PASSWORD);

  expect((await users('role', 'bob', 'admin')).code).toBe(0);
  const other = await users('password', 'bob', '--generate');
  expect(await accounts.check('bob', made.stdout.trim())).toBeUndefined();
  expect(await accounts.check('bob', other.stdout.trim())).toBeDefined();
  expect(JSON.parse((await users('list', '--json')).stdout).users).toMatchObject([
    { name: 'alice@example.com', role: 'operator', lastLoginAt: null, logins: 0 },
    { name: 'bob', role: 'admin', lastLoginAt: null, logins: 0 },
  ]);
  expect((await users('remove', 'bob')).code).toBe(0);
  expect((await users('list')).stdout).toMatch(
    /^name +role +created at.*\n[- ]+\nalice@example.com +operator +2.*\n$/,
  );
});

it('what cannot be done is said, and nothing changes', async () => {
  const deployment = await openDeployment({});
  const users = (...args: string[]) => deployment.sluice(['users', ...args]);
  expect((await users('add', 'alice@example.com', '--role', 'viewer', '--generate')).code).toBe(0);
  for (const [args, code, said] of [
    [['add', 'alice@example.com', '--role', 'admin', '--generate'], 2, /is a user alice@example.com already/],
    [['add', 'Carol', '--role', 'admin', '--generate'], 2, /lower-case/],
    [['add', 'carol', '--role', 'root', '--generate'], 2, /Allowed choices are viewer, operator, admin/],
    [['add', 'carol', '--generate'], 2, /--role/],
    [['role', 'carol', 'admin'], 1, /there is no user "carol"/],
    [['password', 'carol', '--generate'], 1, /there is no user "carol"/],
    [['remove', 'carol'], 1, /there is no user "carol"/],
  ] as const) {
    const outcome = await users(...args);
    expect(outcome, args.join(' ')).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(said) });
  }
  // In a process of its own: it reads standard input, and there is none.
  expect(await deployment.process(['users', 'add', 'carol', '--role', 'admin'])).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/There is no password; .*--generate/),
  });
  expect(await deployment.sluice(['users', 'add', 'carol', '--role', 'admin'], {}, 'short\n')).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/12 to 256 characters/),
  });
});

it('every change of a user ends its logins, and no login gets in beside it', async () => {
  const deployment = await openDeployment({});
  const database = () => deployment.database;
  const users = new Users(database);
  const sessions = new Sessions(database, createLog('silent', 'stderr'));
  await users.add('alice', 'viewer', PASSWORD);
  const open = async () => sessions.open((await users.check('alice', PASSWORD))!, 60_000);
  for (const { args, input, endsProof } of [
    { args: ['role', 'alice', 'operator'], endsProof: false },
    { args: ['logout', 'alice'], endsProof: false },
    { args: ['password', 'alice'], input: `${PASSWORD}\n`, endsProof: true },
    { args: ['remove', 'alice'], endsProof: true },
  ]) {
    const token = (await open())!;
    const proved = (await users.check('alice', PASSWORD))!;
    expect(await new Sessions(database, createLog('silent', 'stderr')).find(token)).toMatchObject({
      name: 'alice',
      isOpenId: false,
    });
    expect((await deployment.sluice(['users', ...args], {}, input)).code).toBe(0);
    expect(await new Sessions(database, createLog('silent', 'stderr')).find(token)).toBeUndefined();
    // The password was checked before the change, and the login is opened after it.
    expect((await sessions.open(proved, 60_000)) === undefined, args.join(' ')).toBe(endsProof);
  }
});

it('a name keeps its ten newest logins, and OpenID Connect cannot take the name of a user', async () => {
  const deployment = await openDeployment({});
  const database = () => deployment.database;
  const users = new Users(database);
  const sessions = new Sessions(database, createLog('silent', 'stderr'));
  await users.add('alice', 'viewer', PASSWORD);
  const proved = (await users.check('alice', PASSWORD))!;
  const tokens: string[] = [];
  for (let login = 0; login < 12; login++) tokens.push((await sessions.open(proved, 60_000))!);
  expect((await users.list())[0]).toMatchObject({ name: 'alice', logins: 10 });
  expect(await sessions.find(tokens.at(-1)!)).toBeDefined();
  expect(await sessions.open({ name: 'alice', role: 'admin' }, 60_000)).toBeUndefined();
  const bob = (await sessions.open({ name: 'bob', role: 'admin' }, 60_000))!;
  expect(await sessions.find(bob)).toEqual(expect.objectContaining({ role: 'admin', isOpenId: true }));
  await users.add('bob', 'viewer', PASSWORD);
  expect(await new Sessions(database, createLog('silent', 'stderr')).find(bob)).toBeUndefined();
});
