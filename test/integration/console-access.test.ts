// Attacks on the console, straight at its server: roles, other sites, foreign names, logins, odd paths and bodies.

import { connect } from 'node:net';
import { beforeAll, describe, expect, it } from 'vitest';
import type * as z from 'zod';
import { loginRoutes } from '../../src/console/login.ts';
import { routes } from '../../src/console/routes.ts';
import { Sessions } from '../../src/console/sessions.ts';
import { Users } from '../../src/console/users.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { ROLES, type Role } from '../../src/shared/roles.ts';
import {
  type Asking,
  type ConsoleReply,
  openTestConsole,
  type TestConsole,
} from '../support/console-server.ts';
import { type Engine, openEngine, until } from '../support/engine.ts';

const PASSWORD = 'correct horse battery';

let engine: Engine;
let console: TestConsole;
let users: Users;
const cookies = {} as Record<Role, string>;

const cookieOf = ({ headers }: ConsoleReply) => String(headers['set-cookie']).split(';')[0]!;
const logIn = (name: string, headers: Asking['headers'] = {}) =>
  console.post('/api/login', { name, password: PASSWORD }, headers);

beforeAll(async () => {
  engine = await openEngine();
  users = new Users(() => engine.own.database);
  for (const role of ROLES) await users.add(role, role, PASSWORD);
  console = await openTestConsole(engine);
  await until(async () => (await console.get('/api/me')).status === 200, 'that the servers are open');
  for (const role of ROLES) cookies[role] = cookieOf(await logIn(role));
});

/** What is right with every answer, whoever asks and whatever for. */
function expectSafe({ headers }: ConsoleReply, what: string): void {
  expect(headers, what).toMatchObject({
    'content-security-policy': expect.stringMatching(/^default-src 'none';.*frame-ancestors 'none'/),
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'cache-control': expect.stringMatching(/^no-(store|cache)$/),
  });
  expect(headers['content-security-policy'], what).not.toMatch(/unsafe|\*|https?:/);
  if (/json/.test(String(headers['content-type']))) expect(headers['cache-control'], what).toBe('no-store');
  for (const name of Object.keys(headers)) expect(name, what).not.toMatch(/^access-control/);
}

async function ask(path: string, asking: Asking = {}): Promise<ConsoleReply> {
  const reply = await console.ask(path, asking);
  expectSafe(reply, `${asking.method ?? 'GET'} ${path}`);
  return reply;
}

/** Sends bytes as they are, and gives all that the server answers. */
function raw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.on('data', part => parts.push(part));
    socket.on('error', reject);
    socket.on('close', () => resolve(Buffer.concat(parts).toString()));
  });
}

const pathOf = (path: string) => path.replace(/\{\w+\}/g, '1');
/** Every route that needs a role; the stream is asked in a test of its own, since it does not end. */
const guarded: { method: 'GET' | 'POST'; path: string; role: Role }[] = [
  ...routes,
  ...loginRoutes.flatMap(({ method, path, declared: { role } }) =>
    role === 'public' ? [] : [{ method, path, role }],
  ),
].filter(({ path }) => path !== '/api/events');
const changing = guarded.filter(({ method }) => method === 'POST');

describe('roles hold on the server', () => {
  it('there are routes for each role, and no path answers to anyone by mistake', () => {
    expect(guarded.length).toBeGreaterThan(5);
    for (const { path } of guarded) expect(path).toMatch(/^\/api\//);
  });

  it.each(guarded.map(route => [`${route.method} ${route.path}`, route] as const))('%s', async (_, route) => {
    const asking = { method: route.method, ...(route.method === 'POST' ? { body: {} } : {}) };
    expect((await ask(pathOf(route.path), asking)).status).toBe(401);
    for (const role of ROLES) {
      const { status } = await ask(pathOf(route.path), { ...asking, headers: { cookie: cookies[role] } });
      const may = ROLES.indexOf(role) >= ROLES.indexOf(route.role);
      if (may) expect([401, 403, 405, 500], role).not.toContain(status);
      else expect(status, role).toBe(403);
    }
  });

  it('the stream needs a login, and ends when the login does', async () => {
    expect((await ask('/api/events')).status).toBe(401);
    const cookie = cookieOf(await logIn('viewer'));
    const stream = console.get('/api/events', { cookie });
    await console.post('/api/logout', { everywhere: false }, { cookie });
    const ended = await stream;
    expect(ended.headers['content-type']).toMatch(/^text\/event-stream/);
    expectSafe(ended, 'the stream');
  }, 60_000);
});

describe('other sites', () => {
  /** As pages of other sites can send it, or could with a fault of the browser. */
  const wrong: [string, Record<string, string | undefined>, number][] = [
    ['of another site', { 'sec-fetch-site': 'cross-site' }, 403],
    ['of another port of this machine', { 'sec-fetch-site': 'same-site' }, 403],
    ['of nobody', { 'sec-fetch-site': 'none' }, 403],
    ['of a browser that does not say', { 'sec-fetch-site': undefined }, 403],
    ['with a foreign Origin', { 'sec-fetch-site': undefined, origin: 'https://evil.example' }, 403],
    ['with an Origin of null', { 'sec-fetch-site': undefined, origin: 'null' }, 403],
    ['with a foreign Origin, said to be ours', { origin: 'https://evil.example' }, 403],
    ['with the Origin under HTTPS', { 'sec-fetch-site': undefined, origin: 'https://HOST' }, 403],
    ['with the Origin of another port', { 'sec-fetch-site': undefined, origin: 'http://127.0.0.1:1' }, 403],
    ['of a form', { 'content-type': 'application/x-www-form-urlencoded' }, 415],
    ['of a form as text', { 'content-type': 'text/plain' }, 415],
    ['of a form with files', { 'content-type': 'multipart/form-data; boundary=a' }, 415],
    ['of a type that begins alike', { 'content-type': 'application/jsonx' }, 415],
    ['of no type', { 'content-type': undefined }, 415],
  ];

  it.each(wrong)(
    'a change %s is refused on every route, and changes nothing',
    async (_, headers, expected) => {
      const cookie = cookies.admin;
      const origin = headers.origin?.replace('HOST', console.host);
      const given = { ...headers, ...(origin ? { origin } : {}), cookie };
      for (const path of [...changing.map(route => pathOf(route.path)), '/api/login', '/api/logout']) {
        const body = path === '/api/logout' ? { everywhere: true } : {};
        expect((await ask(path, { method: 'POST', body, headers: given })).status, path).toBe(expected);
      }
      expect((await ask('/api/me', { headers: { cookie } })).body.user).toEqual({
        name: 'admin',
        role: 'admin',
      });
    },
  );

  it('a change of the page itself goes through, also without Sec-Fetch-Site', async () => {
    for (const headers of [
      {},
      { origin: console.url },
      { 'sec-fetch-site': undefined, origin: console.url },
      { 'content-type': 'application/json; charset=utf-8' },
    ]) {
      const cookie = cookieOf(await logIn('viewer'));
      const out = await ask('/api/logout', {
        method: 'POST',
        body: { everywhere: false },
        headers: { ...headers, cookie },
      });
      expect(out.status).toBe(200);
      expect((await ask('/api/me', { headers: { cookie } })).body.user).toBeNull();
    }
  });

  it('they read no data, and may only link to the page', async () => {
    const read = async (path: string, headers: Record<string, string>) =>
      (await ask(path, { headers: { 'sec-fetch-site': 'cross-site', cookie: cookies.admin, ...headers } }))
        .status;
    const link = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
    for (const path of ['/api/me', '/api/users', '/api/overview', '/api/events'])
      for (const headers of [{}, link, { origin: 'https://evil.example' }, { 'sec-fetch-mode': 'no-cors' }])
        expect(await read(path, headers), path).toBe(403);
    expect(await read('/quarantine?code=a', link)).toBe(200);
    expect(await read('/', { ...link, 'sec-fetch-dest': 'iframe' })).toBe(403);
    expect(await read('/app.js', { 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'script' })).toBe(403);
    const preflight = await ask('/api/logout', {
      method: 'OPTIONS',
      headers: {
        origin: 'https://evil.example',
        'access-control-request-method': 'POST',
        'sec-fetch-site': 'cross-site',
      },
    });
    expect(preflight.status).toBe(403);
  });
});

describe('foreign names', () => {
  const paths = ['/', '/app.js', '/api/me', '/api/events', '/api/overview', '/nothing', '/api/login'];

  it.each([
    ...[
      'evil.example',
      'evil.example:PORT',
      'localhost.evil.example',
      '127.0.0.1.nip.io:PORT',
      '10.0.0.1:PORT',
    ],
    ...['127.0.0.1:PORT@evil.example', '[::2]:PORT', '0.0.0.0:PORT', 'localhost:', 'localhost.', 'sluice'],
  ])('%j is refused as the host of everything', async name => {
    const host = name.replace('PORT', String(console.port));
    for (const path of paths) {
      const reply = await console.ask(path, { headers: { host, cookie: cookies.admin } });
      expect([400, 403], path).toContain(reply.status);
      const forwarded = { 'x-forwarded-host': console.host, forwarded: `host=${console.host}` };
      const again = await console.ask(path, { headers: { ...forwarded, host } });
      expect([400, 403], path).toContain(again.status);
    }
  });

  it('a request names one host', async () => {
    for (const lines of ['', 'Host:\r\n', 'Host: evil.example\r\nHost: 127.0.0.1\r\n'])
      expect(
        await raw(console.port, `GET /api/me HTTP/1.1\r\n${lines}Connection: close\r\n\r\n`),
        lines,
      ).toMatch(/^HTTP\/1.1 40[03] /);
  });

  it('this machine has three, with the port of any tunnel', async () => {
    for (const host of ['localhost:8000', '127.0.0.1:1', `[::1]:${console.port}`, 'LOCALHOST', '127.8.8.8'])
      expect((await ask('/api/me', { headers: { host } })).status, host).toBe(200);
    const headers = { 'x-forwarded-host': 'evil.example', host: 'localhost:8000' };
    expect((await ask('/api/me', { headers })).status).toBe(200);
  });

  it('configured origins are taken exactly, and their cookie belongs to that host', async () => {
    const behind = await openTestConsole(engine, { SLUICE_CONSOLE_ORIGINS: 'https://sluice.example.com' });
    await until(async () => (await behind.get('/api/me')).status === 200, 'that the servers are open');
    const host = 'sluice.example.com';
    const body = { name: 'viewer', password: PASSWORD };
    const logInFrom = (origin: string) =>
      behind.post('/api/login', body, { host, origin, 'sec-fetch-site': undefined });
    for (const origin of [
      'http://sluice.example.com',
      'https://sluice.example.com:444',
      'https://evil.example',
    ])
      expect((await logInFrom(origin)).status, origin).toBe(403);
    const reply = await logInFrom('https://sluice.example.com');
    expect(String(reply.headers['set-cookie'])).toMatch(
      /^__Host-sluice=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Strict; Max-Age=43200$/,
    );
    expect((await behind.get('/api/me', { host: 'www.example.com' })).status).toBe(403);
  });
});

describe('logins', () => {
  it('the token is new, in a cookie that scripts and other sites do not get, and its text is kept nowhere', async () => {
    const made = 'a'.repeat(43);
    const name = `__Host-sluice-${console.port}`;
    const reply = await logIn('viewer', { cookie: `${name}=${made}` });
    expect(String(reply.headers['set-cookie'])).toMatch(
      new RegExp(`^${name}=[\\w-]{43}; Path=/; HttpOnly; Secure; SameSite=Strict; Max-Age=43200$`),
    );
    const token = cookieOf(reply).split('=')[1]!;
    expect(token).not.toBe(made);
    expect((await ask('/api/me', { headers: { cookie: `${name}=${made}` } })).body.user).toBeNull();
    expect(JSON.stringify(reply.body)).not.toContain(token);
    const rows = await engine.own.database.query('SELECT HEX(token) AS token, name FROM sluice_sessions');
    const kept = Buffer.from(token).toString('hex').toUpperCase();
    const decoded = Buffer.from(token, 'base64url').toString('hex').toUpperCase();
    for (const row of rows) expect([kept, decoded]).not.toContain(String(row.token));
    // A login replaces the one that the browser had: somebody else may have put it there.
    const second = await logIn('operator', { cookie: cookieOf(reply) });
    expect(second.status).toBe(200);
    expect((await ask('/api/me', { headers: { cookie: cookieOf(reply) } })).body.user).toBeNull();
    expect((await ask('/api/me', { headers: { cookie: cookieOf(second) } })).body.user.name).toBe('operator');
  });

  it('a logout ends one login, and everywhere ends all, in every process', async () => {
    const other = await openTestConsole(engine);
    await until(async () => (await other.get('/api/me')).status === 200, 'that the servers are open');
    const [first, second] = [cookieOf(await logIn('viewer')), cookieOf(await logIn('viewer'))];
    const who = async (at: TestConsole, cookie: string) => {
      // The name of the cookie has the port.
      const given = cookie.replace(/\d+=/, `${at.port}=`);
      return (await at.get('/api/me', { cookie: given })).body.user?.name;
    };
    expect([await who(console, first), await who(other, second)]).toEqual(['viewer', 'viewer']);
    await console.post('/api/logout', { everywhere: false }, { cookie: first });
    expect([await who(console, first), await who(console, second)]).toEqual([undefined, 'viewer']);
    await console.post('/api/logout', { everywhere: true }, { cookie: second });
    expect(await who(console, second)).toBeUndefined();
    await until(async () => (await who(other, second)) === undefined, 'the other process to notice', 20_000);
    cookies.viewer = cookieOf(await logIn('viewer'));
  });

  it('a changed user is logged out in every process', async () => {
    await users.add('changed', 'admin', PASSWORD);
    const cookie = cookieOf(await logIn('changed'));
    const status = async () => (await console.get('/api/users', { cookie })).status;
    expect(await status()).toBe(200);
    await users.setRole('changed', 'viewer');
    await until(async () => (await status()) === 401, 'the login to end', 20_000);
    expect((await console.get('/api/users', { cookie: cookieOf(await logIn('changed')) })).status).toBe(403);
    await users.remove('changed');
    expect((await logIn('changed')).status).toBe(401);
  });

  it('while MySQL is away, those that are known stay, and nobody is taken for nobody', async () => {
    const away = new Database({ url: 'mysql://a:b@127.0.0.1:1/c' }, { ...engine.settings, connections: 1 });
    engine.onClose(() => away.close());
    let isAway = false;
    const sessions = new Sessions(() => (isAway ? away : engine.own.database), engine.log);
    const proved = (await users.check('viewer', PASSWORD))!;
    const token = (await sessions.open(proved, 600_000))!;
    isAway = true;
    await expect(sessions.find('b'.repeat(43))).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    expect(await sessions.find(token)).toMatchObject({ name: 'viewer' });
    const blind = new Sessions(() => away, engine.log);
    await expect(blind.find(token)).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    await expect(blind.users()).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
  });

  it('it ends after its time', async () => {
    const sessions = new Sessions(() => engine.own.database, engine.log);
    const token = (await sessions.open((await users.check('viewer', PASSWORD))!, 3000))!;
    expect(await sessions.find(token)).toBeDefined();
    await until(async () => (await sessions.find(token)) === undefined, 'the login to expire', 20_000);
  });

  it('wrong passwords and unknown names get the same answer, and then have to wait', async () => {
    await users.add('guessed', 'viewer', PASSWORD);
    const attempt = (name: string) => console.post('/api/login', { name, password: 'wrong horse battery' });
    const [known, unknown] = [await attempt('guessed'), await attempt('nobody')];
    expect([known.status, known.text]).toEqual([401, unknown.text]);
    let reply = known;
    for (let time = 0; time < 60 && reply.status === 401; time++) reply = await attempt('guessed');
    expect(reply).toMatchObject({ status: 429, body: { code: 'RATE_LIMITED' } });
    expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
    // This address has logged in as this user before.
    expect((await logIn('admin')).status).toBe(200);
  });
});

describe('a proxy that authenticates', () => {
  const behind = (proxies: string, more: Record<string, string> = {}) =>
    openTestConsole(engine, {
      SLUICE_CONSOLE_USER_HEADER: 'X-Forwarded-User',
      SLUICE_CONSOLE_ROLE_HEADER: 'X-Forwarded-Groups',
      SLUICE_CONSOLE_USER_PROXIES: proxies,
      SLUICE_CONSOLE_ROLES: 'sre=operator,leads=admin',
      ...more,
    });
  const headers = { 'x-forwarded-user': 'zoë', 'x-forwarded-groups': 'staff, sre' };
  const latin1 = (text: string) => Buffer.from(text).toString('latin1');

  it('names the user and the groups; other logins do not count beside it', async () => {
    const proxied = await behind('127.0.0.0/8');
    const me = async (given: Record<string, string>) => proxied.get('/api/me', given);
    expect((await me({ ...headers, 'x-forwarded-user': latin1('zoë') })).body).toMatchObject({
      user: { name: 'zoë', role: 'operator' },
      login: 'proxy',
    });
    expect((await me({ cookie: cookies.admin.replace(/\d+=/, `${proxied.port}=`) })).body.user).toBeNull();
    expect((await proxied.post('/api/login', { name: 'admin', password: PASSWORD })).status).toBe(403);
    const refused = await me({ ...headers, 'x-forwarded-groups': 'staff,operator' });
    expect(refused).toMatchObject({ status: 403, body: { detail: expect.stringContaining('has no role') } });
    expect((await me({ 'x-forwarded-user': '', 'x-forwarded-groups': 'leads' })).body.user).toBeNull();
  });

  it('is the only one whose header counts, by the address of the connection', async () => {
    const proxied = await behind('127.0.0.2,10.0.0.0/8,::1', { SLUICE_TRUSTED_PROXIES: '127.0.0.1' });
    for (const more of [
      {},
      { 'x-forwarded-for': '127.0.0.2' },
      { forwarded: 'for=127.0.0.2' },
      { 'x-real-ip': '10.0.0.1' },
    ])
      expect((await proxied.get('/api/users', { ...headers, ...more })).status).toBe(401);
  });

  it('a header that a browser sent beside that of the proxy ends the request', async () => {
    const proxied = await behind('127.0.0.1');
    const twice = await raw(
      proxied.port,
      `GET /api/users HTTP/1.1\r\nHost: ${proxied.host}\r\nX-Forwarded-User: admin\r\n` +
        'x-forwarded-user: zoe\r\nX-Forwarded-Groups: leads\r\nConnection: close\r\n\r\n',
    );
    expect(twice).toMatch(/^HTTP\/1.1 401 /);
  });

  it('does not make a change of another site one of ours', async () => {
    const proxied = await behind('127.0.0.1');
    for (const { path } of changing)
      for (const site of ['cross-site', 'same-site', undefined]) {
        const given = { ...headers, 'sec-fetch-site': site };
        expect((await proxied.post(pathOf(path), {}, given)).status, path).toBe(403);
      }
  });
});

it('without users, anyone on this machine looks, and nobody changes anything', async () => {
  const empty = await openEngine();
  const open = await openTestConsole(empty, { SLUICE_CONSOLE_PAYLOADS: 'operator' });
  await until(async () => (await open.get('/api/me')).status === 200, 'that the servers are open');
  expect((await open.get('/api/me')).body).toMatchObject({ user: null, login: 'open' });
  for (const { method, path, role } of guarded) {
    const reply = await open.ask(pathOf(path), { method, ...(method === 'POST' ? { body: {} } : {}) });
    if (role === 'viewer') expect([401, 403, 500], path).not.toContain(reply.status);
    else expect(reply.status, path).toBe(403);
  }
  expect((await open.post('/api/login', { name: 'a', password: 'b' })).status).toBe(403);
  await new Users(() => empty.own.database).add('first', 'viewer', PASSWORD);
  await until(async () => (await open.get('/api/partitions')).status === 401, 'that users log in', 20_000);
});

it('without users, it does not open itself to others', async () => {
  const empty = await openEngine();
  const others = { SLUICE_CONSOLE_HOST: '0.0.0.0', SLUICE_CONSOLE_ORIGINS: 'https://sluice.example.com' };
  await expect(openTestConsole(empty, others)).rejects.toThrow(/There is no user yet.*sluice users add/);
  await new Users(() => empty.own.database).add('first', 'viewer', PASSWORD);
  const open = await openTestConsole(empty, others);
  await until(async () => (await open.get('/api/me')).status === 200, 'that the servers are open');
  expect((await open.get('/api/partitions')).status).toBe(401);
});

describe('odd requests', () => {
  it.each([
    ...[
      '/../etc/passwd',
      '/..%2f..%2fetc%2fpasswd',
      '/%2e%2e/app.js',
      '/app.js/..',
      '/app.js%00',
      '/app.js/',
    ],
    ...[
      '//evil.example',
      '//evil.example/%2e%2e',
      '/\\evil.example',
      '/%5cevil.example',
      '/%2F/evil.example',
    ],
    ...[
      '/API/me',
      '/api//me',
      '/api/me/',
      '/api/me%00',
      '/api/me;a',
      '/api/%6de.',
      '/api',
      '/api/',
      '/index.html/a',
    ],
    ...['/.env', '/page/app.tsx', '/__proto__', '/constructor', '/operations/1e3', '/quarantine/-1'],
  ])('%s is no page, and leads nowhere', async path => {
    const reply = await console.ask(path, { headers: { cookie: cookies.admin } });
    expect([400, 404]).toContain(reply.status);
    expect(reply.headers.location).toBeUndefined();
    expectSafe(reply, path);
  });

  it('the target of a request may name a host, which changes nothing', async () => {
    const reply = await console.ask(`http://evil.example/api/users`, { headers: { cookie: cookies.viewer } });
    expect([400, 403, 404]).toContain(reply.status);
    const foreign = await console.ask(`http://${console.host}/api/me`, { headers: { host: 'evil.example' } });
    expect([400, 403, 404]).toContain(foreign.status);
  });

  it('bodies that are no login are refused, and name no property of every object', async () => {
    for (const body of [
      ...[
        '',
        '{',
        '[]',
        'null',
        '1',
        '"a"',
        '{"name":"a"}',
        '{"name":1,"password":2}',
        '{"name":"a","name":"b"}',
      ],
      '{"name":"admin","password":"b","role":"admin"}',
      '{"__proto__":{"name":"admin","password":"b"}}',
      '{"name":"a","password":"b","__proto__":{"role":"admin"}}',
      '{"constructor":{"prototype":{"name":"a"}},"name":"a","password":"b"}',
      `{"name":"a","password":"${'b'.repeat(300)}"}`,
      `${'['.repeat(20_000)}${']'.repeat(20_000)}`,
      Buffer.from([0x7b, 0xff, 0x7d]).toString('latin1'),
    ])
      expect((await ask('/api/login', { method: 'POST', body })).status, body.slice(0, 60)).toBe(400);
    expect(({} as { role?: string }).role).toBeUndefined();
    const huge = await console.ask('/api/login', { method: 'POST', body: `"${'a'.repeat(1_100_000)}"` });
    expect(huge.status).toBe(413);
  });

  const parameters = routes.flatMap(route => {
    const { shape } = (route.shape.query ?? {}) as Partial<z.ZodObject>;
    return Object.keys(shape ?? {}).map(name => [`${route.method} ${route.path}`, name, route] as const);
  });
  it.each(parameters)('%s takes no odd %s', async (_, name, route) => {
    for (const value of [
      ...['99999999999999999999', '99999999', '-1', '1e9', 'NaN', 'Infinity', '0x10', '1.5', '', '__proto__'],
      ...['%00', "a'--", '%27%20OR%201=1', '%25', '_', '%5B1%5D', '2026-99-99T00:00:00Z', 'a'.repeat(5000)],
    ]) {
      const reply = await console.ask(`${pathOf(route.path)}?${name}=${value}`, {
        method: route.method,
        headers: { cookie: cookies.admin },
        ...(route.method === 'POST' ? { body: {} } : {}),
      });
      expect(reply.status, `${name}=${value.slice(0, 40)}`).not.toBe(500);
    }
  });

  it.each(changing.map(({ path }) => path))('%s takes no odd body', async path => {
    for (const body of [
      ...['[]', 'null', '1', '{"__proto__":{"reason":"a"}}', '{"reason":{"$ne":1}}', '{"expected":1e400}'],
      ...['{"ids":[99999999999999999999]}', '{"rate":-1}', '{"filter":{"__proto__":{}}}', '{"unknown":1}'],
    ]) {
      const { status } = await ask(pathOf(path), {
        method: 'POST',
        body,
        headers: { cookie: cookies.admin },
      });
      expect(status, body).not.toBe(500);
      expect(status, body).not.toBe(200);
    }
  });
});
