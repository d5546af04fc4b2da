// Logins by OpenID Connect, with a provider over HTTP, and what a wrong answer of it or of a browser leads to.

import { beforeEach, describe, expect, it } from 'vitest';
import { targetOf } from '../../src/console/openid.ts';
import { Users } from '../../src/console/users.ts';
import { type ConsoleReply, openTestConsole, type TestConsole } from '../support/console-server.ts';
import { type Engine, openEngine, until } from '../support/engine.ts';
import { openProvider } from '../support/openid-provider.ts';

let provider: Awaited<ReturnType<typeof openProvider>>;
let engine: Engine;
let console: TestConsole;

beforeEach(async () => {
  engine = await openEngine();
  provider = await openProvider('the secret');
  console = await openTestConsole(engine, {
    SLUICE_OPENID_ISSUER: provider.issuer,
    SLUICE_OPENID_CLIENT_ID: 'sluice',
    SLUICE_OPENID_CLIENT_SECRET: 'the secret',
    SLUICE_OPENID_ROLE_CLAIM: 'realm_access.roles',
    SLUICE_CONSOLE_ROLES: 'sre=operator,leads=admin',
  });
  await until(async () => (await console.get('/api/me')).status === 200, 'that the servers are open');
});

const cookieOf = ({ headers }: ConsoleReply) =>
  ((headers['set-cookie'] ?? []) as string[]).map(line => line.split(';')[0]!).join('; ');

const claims = {
  email: 'Alice@example.com',
  email_verified: true,
  realm_access: { roles: ['staff', 'sre'] },
};

/** Begins, logs in at the provider, and comes back. */
async function through(given: Record<string, unknown> = claims, to = '/quarantine?code=ER_DUP&kind=entry') {
  const start = await console.get(`/openid/start?to=${encodeURIComponent(to)}`);
  const ticket = cookieOf(start);
  const back = provider.logIn(String(start.headers.location), given);
  const come = (address = back, cookie = ticket) =>
    console.get(address.slice(console.url.length), {
      cookie,
      'sec-fetch-site': 'cross-site',
      'sec-fetch-mode': 'navigate',
      'sec-fetch-dest': 'document',
    });
  return { start, ticket, back, come };
}

it('a user logs in there, comes back to the page that was asked for, and has the role of a group', async () => {
  const { start, come } = await through();
  expect(start.status).toBe(303);
  const asked = new URL(String(start.headers.location));
  expect(asked.origin).toBe(provider.issuer);
  expect(Object.fromEntries(asked.searchParams)).toMatchObject({
    response_type: 'code',
    client_id: 'sluice',
    redirect_uri: `${console.url}/openid/callback`,
    code_challenge_method: 'S256',
    scope: 'openid email profile',
  });
  expect(String(start.headers['set-cookie'])).toMatch(
    /^__Host-sluice-openid=[\w-]+; Path=\/; HttpOnly; Secure; SameSite=Lax; Max-Age=600$/,
  );
  const back = await come();
  expect([back.status, back.headers.location]).toEqual([303, '/quarantine?code=ER_DUP&kind=entry']);
  const [ended, session] = back.headers['set-cookie'] as string[];
  expect(ended).toMatch(/^__Host-sluice-openid=; .*Max-Age=0$/);
  expect(session).toMatch(/^__Host-sluice-\d+=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Strict;/);
  const me = await console.get('/api/me', { cookie: session!.split(';')[0]! });
  expect(me.body).toMatchObject({
    user: { name: 'Alice@example.com', role: 'operator' },
    login: 'form',
    openid: true,
  });
  // The code and the ticket serve once.
  expect((await come()).status).toBe(401);
});

it('claims that the ID token lacks are asked for, and the highest role counts', async () => {
  Object.assign(provider.atUserInfo, { email: 'bob@example.com', realm_access: { roles: ['sre', 'leads'] } });
  const back = await (await through({})).come();
  const me = await console.get('/api/me', { cookie: cookieOf(back) });
  expect(me.body.user).toEqual({ name: 'bob@example.com', role: 'admin' });
});

describe('nobody gets in', () => {
  const page = async (answer: Promise<{ status: number; text: string; headers: object }>) => {
    const { status, text, headers } = await answer;
    expect(JSON.stringify(headers)).not.toMatch(/__Host-sluice-\d/);
    expect(text).toMatch(/^<!doctype html>.*<a href="\/login">/);
    return [status, text] as const;
  };

  it('with an answer to another browser, of another login, or of another provider', async () => {
    const { come, back, ticket } = await through();
    const other = await through();
    expect((await page(come(back, '')))[1]).toContain('This browser did not begin a login');
    expect((await page(come(back, '__Host-sluice-openid=e30')))[0]).toBe(401);
    expect((await page(come(back, other.ticket)))[0]).toBe(401);
    expect((await page(come(back.replace(/state=[^&]+/, 'state=x'), ticket)))[0]).toBe(401);
    expect((await page(come(back.replace(/code=[^&]+/, 'code=x'), ticket)))[0]).toBe(401);
    expect((await page(come(`${console.url}/openid/callback?error=access_denied`, ticket)))[0]).toBe(401);
  });

  it.each(['nonce', 'key', 'audience'] as const)('with an ID token whose %s is wrong', async what => {
    provider.faults[what] = true;
    expect((await page((await through()).come()))[0]).toBe(401);
  });

  it('without a role, a name, or an address that is verified', async () => {
    const refused = async (given: Record<string, unknown>) => page((await through(given)).come());
    expect(await refused({ ...claims, realm_access: { roles: ['staff'] } })).toEqual([
      403,
      expect.stringContaining('has no role at this console'),
    ]);
    expect((await refused({ ...claims, realm_access: { roles: { sre: true } } }))[0]).toBe(403);
    expect((await refused({ ...claims, email: 'a\nb' }))[1]).toContain('no name in the claim email');
    expect((await refused({ ...claims, email_verified: false }))[1]).toContain('not verified');
    const script = await refused({
      ...claims,
      email: '<img src=x onerror=alert(1)>@a',
      email_verified: false,
    });
    expect(script[1]).toContain('&#60;img src=x');
    expect(script[1]).not.toContain('<img');
  });

  it('under the name of a user with a password', async () => {
    await new Users(() => engine.own.database).add('alice@example.com', 'viewer', 'correct horse battery');
    expect((await page((await through()).come()))[1]).toContain('logs in with a password');
  });
});

it('a provider that is away does not end the console', async () => {
  const away = await openTestConsole(engine, {
    SLUICE_OPENID_ISSUER: 'http://127.0.0.1:1',
    SLUICE_OPENID_CLIENT_ID: 'sluice',
    SLUICE_CONSOLE_ROLES: '*=viewer',
  });
  await until(async () => (await away.get('/api/me')).status === 200, 'that the servers are open');
  const start = await away.get('/openid/start');
  expect(start.status).toBe(503);
  expect(start.text).toContain('cannot be reached now');
  expect((await away.get('/api/me')).body).toMatchObject({ user: null, login: 'form', openid: true });
});

it('the way back leads to a view of the page, and nowhere else', () => {
  for (const target of [
    '/',
    '/quarantine',
    '/quarantine?code=a%20b',
    '/operations/7',
    '/look-up?key=%2F%2Fe',
  ])
    expect(targetOf(target), target).toBe(target);
  for (const target of [
    ...[
      '//e',
      '/\\e',
      '\\\\e',
      'https://e',
      'https:/e',
      '/quarantine/../..//e',
      '/.//e',
      '/login',
      '/api/me',
      '',
    ],
    ...[
      '/quarantine?a\r\nset-cookie: b',
      '/quarantine#//e',
      '/%2F/e',
      '/\t/e',
      ' //e',
      '/openid/start',
      undefined,
    ],
    ...['javascript:alert(1)', `/quarantine?${'a'.repeat(2000)}`],
  ])
    expect(targetOf(target), target).toBe('/');
});
