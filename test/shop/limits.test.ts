// The limits of the example shop: over two processes, at the border of a window, and by the clock of Redis.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, inject, it } from 'vitest';
import { until } from '../support/engine.ts';
import { type Answer, openShop, type Shop, type ShopProcess } from '../support/shop.ts';

let shop: Shop;
let first: ShopProcess;
/** Believes a proxy on this machine. */
let second: ShopProcess;
let lua: string;

beforeAll(async () => {
  shop = await openShop();
  [first, second] = await Promise.all([shop.api(), shop.api({ TRUSTED_PROXIES: '127.0.0.1' })]);
  lua = readFileSync(join(inject('shopFolder'), 'src/limits/limits.lua'), 'utf8');
});

/** Microseconds by the clock of Redis. */
async function now(): Promise<number> {
  const [seconds, micros] = await shop.redis.time();
  return Number(seconds) * 1e6 + Number(micros);
}

const key = (caller: string) => `${shop.name}:shop:limits:${caller}`;

async function decide(caller: string, rule: 'sliding' | 'bucket', limit: number, windowMs: number) {
  const args = [rule, limit, windowMs * 1000];
  const reply = (await shop.redis.eval(lua, 1, key(caller), ...args)) as [number, number, number, number];
  const [allowed, remaining, reset, turn] = reply;
  return { allowed: allowed === 1, remaining, reset, turn };
}

/** Sends 200 calls at once, half of them to each process. */
async function rush(path: string): Promise<{ answers: Answer[]; micros: number }> {
  const begin = await now();
  const calls = Array.from({ length: 200 }, (_, index) => [first, second][index % 2]!.call('GET', path));
  const answers = await Promise.all(calls);
  return { answers, micros: (await now()) - begin };
}

const allowedOf = (answers: Answer[]) => answers.filter(({ status }) => status === 200).length;

it('of 200 calls at once over two processes, exactly the limit goes through', async () => {
  for (const name of ['fixed', 'sliding']) {
    const { answers } = await rush(`/limits/${name}`);
    expect(allowedOf(answers), name).toBe(20);
    expect(answers.filter(({ status }) => status === 429).length, name).toBe(180);
  }
  // Buckets let more through while the calls last: one for each interval.
  for (const [name, interval] of [
    ['token', 3e6],
    ['leaky', 0.1e6],
  ] as const) {
    const { answers, micros } = await rush(`/limits/${name}`);
    expect(allowedOf(answers), name).toBeGreaterThanOrEqual(20);
    expect(allowedOf(answers), name).toBeLessThanOrEqual(20 + Math.ceil(micros / interval));
  }
});

it('a refusal says the quota, and when to come again', async () => {
  const refused = await first.call('GET', '/limits/fixed');
  expect(refused).toMatchObject({ status: 429, body: { code: 'RATE_LIMITED' } });
  expect(refused.headers.get('ratelimit-policy')).toBe('"fixed";q=20;w=60');
  const wait = refused.headers.get('retry-after');
  expect(refused.headers.get('ratelimit')).toBe(`"fixed";r=0;t=${wait}`);
  expect(Number(wait)).toBeGreaterThan(0);
  expect(Number(wait)).toBeLessThanOrEqual(60);
  // The window ends, and another one begins.
  await shop.redis.pexpire(key('fixed:127.0.0.1'), 1);
  await until(async () => (await first.call('GET', '/limits/fixed')).status === 200, 'another window');
  expect((await second.call('GET', '/limits/fixed')).headers.get('ratelimit')).toMatch(
    /^"fixed";r=18;t=\d+$/,
  );
});

it('a caller is an IPv4 address or a network of IPv6, as a proxy says that is believed', async () => {
  const from = (address: string) => ({ 'x-forwarded-for': address });
  const remaining = async (address: string) => {
    const { headers } = await second.call('GET', '/limits/token', undefined, from(address));
    return headers.get('ratelimit')?.match(/;r=(\d+)/)?.[1];
  };
  expect(await remaining('192.0.2.1')).toBe('19');
  expect(await remaining('192.0.2.2')).toBe('19');
  expect(await remaining('2001:db8::1')).toBe('19');
  expect(await remaining('2001:db8:0:0:9:8:7:6')).toBe('18');
  expect(await remaining('2001:db8:0:1::1')).toBe('19');
  // Nobody is between the caller and this process.
  const path = '/limits/sliding';
  expect((await first.call('GET', path, undefined, from('192.0.2.3'))).status).toBe(429);
  expect((await second.call('GET', path, undefined, from('192.0.2.3'))).status).toBe(200);
});

it('a sliding window ends to the microsecond, and refused requests do not move it', async () => {
  const windowMs = 300;
  const begin = await now();
  for (const left of [2, 1, 0])
    expect(await decide('border', 'sliding', 3, windowMs)).toMatchObject({ allowed: true, remaining: left });
  const state = await shop.redis.lrange(key('border'), 0, -1);
  const [oldest] = state;
  expect(Number(oldest)).toBeGreaterThanOrEqual(begin);
  const end = Number(oldest) + windowMs * 1000;
  for (let allowed = false; !allowed; ) {
    const before = await now();
    const verdict = await decide('border', 'sliding', 3, windowMs);
    const after = await now();
    allowed = verdict.allowed;
    if (allowed) expect(after).toBeGreaterThanOrEqual(end);
    else {
      expect(before).toBeLessThan(end);
      expect(verdict.reset).toBeLessThanOrEqual(end - before);
      expect(verdict.reset).toBeGreaterThanOrEqual(end - after);
    }
  }
  // The three times of before, less those that are over, and the new one.
  const kept = await shop.redis.lrange(key('border'), 0, -1);
  expect(state).toEqual(expect.arrayContaining(kept.slice(0, -1)));
  expect(await shop.redis.pttl(key('border'))).toBeGreaterThan(0);
});

it('a bucket refills in proportion to time, by the clock of Redis', async () => {
  const [limit, windowMs] = [50, 5000];
  const interval = (windowMs * 1000) / limit;
  /** Takes all that is there. */
  const drain = async () => {
    let taken = 0;
    while ((await decide('refill', 'bucket', limit, windowMs)).allowed) taken += 1;
    return taken;
  };
  const begin = await now();
  const taken = await drain();
  expect(taken).toBeGreaterThanOrEqual(limit);
  const rest = Number(await shop.redis.get(key('refill')));
  // Each request has moved it on by exactly one interval, and refused ones have not.
  expect(rest).toBeGreaterThanOrEqual(begin + taken * interval);
  await until(async () => (await now()) - begin > (taken - limit + 7.5) * interval, 'seven intervals');
  const before = await now();
  const again = await drain();
  const after = await now();
  const there = (time: number) => Math.floor(limit - (rest - time) / interval);
  expect(again).toBeGreaterThanOrEqual(there(before));
  expect(again).toBeLessThanOrEqual(there(after));
  expect(await shop.redis.pttl(key('refill'))).toBeGreaterThan(0);
});

it('a leaky bucket gives each request a turn of its own, one interval after the last', async () => {
  const [limit, windowMs] = [5, 5000];
  const interval = (windowMs * 1000) / limit;
  const begin = await now();
  const verdicts = [];
  for (let n = 0; n < limit; n += 1) verdicts.push(await decide('turns', 'bucket', limit, windowMs));
  const micros = (await now()) - begin;
  for (const [n, { turn, allowed }] of verdicts.entries()) {
    expect(allowed).toBe(true);
    expect(turn).toBeLessThanOrEqual(n * interval);
    expect(turn).toBeGreaterThanOrEqual(n * interval - micros);
  }
});

it('a bucket says when one more request may come than it has left', async () => {
  const [limit, windowMs] = [50, 5_000_000];
  const interval = (windowMs * 1000) / limit;
  for (const remaining of [49, 48, 47]) {
    const verdict = await decide('more', 'bucket', limit, windowMs);
    expect(verdict).toMatchObject({ allowed: true, remaining });
    expect(verdict.reset).toBeGreaterThan(0);
    expect(verdict.reset).toBeLessThanOrEqual(interval);
  }
});
