// Logins of the example shop: over two processes, with wrong names and passwords, and their end.

import { scryptSync } from 'node:crypto';
import { beforeAll, expect, it } from 'vitest';
import { hashPassword } from '../../examples/shop/src/passwords.ts';
import { openShop, type Shop, type ShopProcess } from '../support/shop.ts';

let shop: Shop;
let first: ShopProcess;
/** Behind a proxy on this machine that speaks HTTPS. */
let second: ShopProcess;

const PASSWORD = 'correct horse';
const HTTPS = { 'x-forwarded-proto': 'https' };

beforeAll(async () => {
  shop = await openShop();
  // Eve's costs little to check, and is checked often.
  const cheap = ['scrypt', 1024, '', scryptSync('x', '', 32, { N: 1024 }).toString('base64url')].join('$');
  const row = [await hashPassword(PASSWORD), cheap];
  const insert =
    "INSERT INTO users (id, name, city, password) VALUES (7, 'ann', 'Oslo', ?), (8, 'eve', 'Lima', ?)";
  await shop.database.query(insert, row);
  [first, second] = await Promise.all([
    shop.api(),
    shop.api({ SECURE_COOKIES: '1', TRUSTED_PROXIES: '127.0.0.1' }),
  ]);
});

const login = (api: ShopProcess, name: string, password: string, headers: Record<string, string> = {}) =>
  api.call('POST', '/login', { name, password }, headers);

/** The cookie as a browser sends it back. */
const cookieOf = ({ headers }: { headers: Headers }) => {
  return { cookie: headers.get('set-cookie')!.split(';')[0]! };
};

const sessionKeys = () => shop.redis.keys(`${shop.name}:shop:sessions:*`);

/** Attempts of other tests do not count. */
const forgetAttempts = async () => {
  const keys = await shop.redis.keys(`${shop.name}:shop:limits:*`);
  if (keys.length > 0) await shop.redis.del(...keys);
};

it('a login works on all processes, is renewed by use, and ends with a logout everywhere', async () => {
  expect(await first.call('GET', '/profile')).toMatchObject({ status: 401, body: { code: 'NOT_LOGGED_IN' } });
  const answer = await login(first, 'ann', PASSWORD);
  expect(answer).toMatchObject({ status: 200, body: { id: '7', name: 'ann' } });
  const attributes = answer.headers.get('set-cookie')!.split('; ').slice(1);
  expect(attributes.sort()).toEqual(['HttpOnly', 'Path=/', 'SameSite=Lax']);
  const cookie = cookieOf(answer);
  await first.call('POST', '/accounts/7/credits', { amount: 40 }, { 'idempotency-key': 'gift' });
  for (const api of [first, second]) {
    const { body, headers } = await api.call('GET', '/profile', undefined, cookie);
    expect(body).toMatchObject({ id: '7', name: 'ann', loyalty: 40 });
    expect(Math.abs(Date.parse(body.lastSeen) - Date.now())).toBeLessThan(60_000);
    expect(headers.get('set-cookie')).toBeNull();
  }
  const [key, ...others] = await sessionKeys();
  expect(others).toEqual([]);
  await shop.redis.expire(key!, 100);
  await second.call('GET', '/profile', undefined, cookie);
  expect(await shop.redis.ttl(key!)).toBeGreaterThan(100);

  // A login gets another id, and the session of before is over.
  const renewed = cookieOf(await login(first, 'ann', PASSWORD, cookie));
  expect(renewed).not.toEqual(cookie);
  expect((await second.call('GET', '/profile', undefined, cookie)).status).toBe(401);
  expect((await second.call('GET', '/profile', undefined, renewed)).status).toBe(200);
  const forged = { cookie: `${renewed.cookie.split('.')[0]}.AAAA` };
  expect((await first.call('GET', '/profile', undefined, forged)).status).toBe(401);

  // Requests that run beside a logout do not bring the session back.
  const uses = Array.from({ length: 20 }, () => second.call('GET', '/profile', undefined, renewed));
  const left = await first.call('POST', '/logout', undefined, renewed);
  await Promise.all(uses);
  expect(left.status).toBe(204);
  expect(left.headers.get('set-cookie')).toContain('Expires=Thu, 01 Jan 1970');
  expect(await sessionKeys()).toEqual([]);
  for (const api of [first, second])
    expect((await api.call('GET', '/profile', undefined, renewed)).status).toBe(401);
  expect((await first.call('POST', '/logout')).status).toBe(204);
});

it('in production the cookie is for HTTPS only', async () => {
  await forgetAttempts();
  const answer = await login(second, 'ann', PASSWORD, HTTPS);
  expect(answer.headers.get('set-cookie')).toContain('; Secure');
  const plain = await login(second, 'ann', PASSWORD);
  expect(plain.headers.get('set-cookie')).toBeNull();
});

it('an unknown name and a wrong password get the same answer after the same time', async () => {
  await forgetAttempts();
  const timed = async (name: string) => {
    const begin = performance.now();
    const { status, body } = await login(first, name, 'wrong');
    return { status, body, ms: performance.now() - begin };
  };
  const answers = { ann: await timed('ann'), nobody: await timed('nobody'), spelled: await timed('ANN') };
  for (const { status, body } of Object.values(answers)) {
    expect(status).toBe(401);
    expect(body).toEqual({ code: 'WRONG_LOGIN', message: 'The name or the password is wrong.' });
  }
  // Without the check they take a hundredth; the factor is for a busy machine.
  expect(answers.nobody.ms).toBeGreaterThan(answers.ann.ms / 6);
  expect((await login(first, 'ANN', PASSWORD)).status).toBe(401);
});

it('attempts are limited by name and by address, and checks of passwords at once by process', async () => {
  await forgetAttempts();
  const flood = await Promise.all(
    Array.from({ length: 12 }, (_, index) => login(first, `user-${index}`, 'wrong')),
  );
  const busy = flood.filter(({ status }) => status === 503);
  expect(busy.length).toBeGreaterThan(0);
  expect(busy[0]).toMatchObject({ body: { code: 'TOO_MANY_LOGINS' } });
  expect(busy[0]!.headers.get('retry-after')).toBe('1');
  expect(flood.filter(({ status }) => status === 401).length).toBe(12 - busy.length);

  const elsewhere = (n: number) => ({ 'x-forwarded-for': `192.0.2.${n}` });
  const limited = await Promise.all(
    [1, 2, 3, 4, 5, 6, 7].map(n => login(second, 'eve', 'wrong', elsewhere(n))),
  );
  expect(limited.map(({ status }) => status).sort()).toEqual([401, 401, 401, 401, 401, 429, 429]);
  const refused = limited.find(({ status }) => status === 429)!;
  expect(refused.headers.get('ratelimit-policy')).toBe('"login-address";q=30;w=60, "login-name";q=5;w=60');
  expect(refused.headers.get('ratelimit')).toMatch(/^"login-address";r=29;t=60, "login-name";r=0;t=\d+$/);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);

  // An address is refused before its password is looked at.
  const many = await Promise.all(Array.from({ length: 30 }, () => login(first, 'eve', 'wrong')));
  expect(many.every(({ status }) => status === 429)).toBe(true);
  expect((await login(first, 'ann', PASSWORD)).status).toBe(429);
  expect((await login(second, 'ann', PASSWORD, elsewhere(1))).status).toBe(200);
});

it('a session ends in no restart, and bad requests are refused', async () => {
  await forgetAttempts();
  const cookie = cookieOf(await login(first, 'ann', PASSWORD));
  first.child.kill('SIGKILL');
  await first.ended;
  expect((await second.call('GET', '/profile', undefined, cookie)).status).toBe(200);
  const bodies = [
    undefined,
    {},
    { name: 'ann' },
    { name: 7, password: 'x' },
    { name: '', password: 'x' },
    { name: 'ann', password: 'x'.repeat(201) },
  ];
  for (const body of bodies)
    expect((await second.call('POST', '/login', body)).status, JSON.stringify(body)).toBe(400);
});
