// Calls of the example shop to an outside API that is slow, hangs, fails and recovers.

import { beforeAll, expect, it } from 'vitest';
import { freePort } from '../../scripts/servers.ts';
import { until } from '../support/engine.ts';
import { call, openShop, type Shop, type ShopProcess } from '../support/shop.ts';

let shop: Shop;
let first: ShopProcess;
let second: ShopProcess;
let stub: string;
const PAUSE_MS = 2000;

beforeAll(async () => {
  shop = await openShop();
  const port = await freePort();
  stub = `http://127.0.0.1:${port}`;
  const env = {
    OUTSIDE_URL: stub,
    OUTSIDE_PAUSE_MS: String(PAUSE_MS),
    RATE_FRESH_MS: '3000',
    CACHE_JITTER: '0',
    EARLY_REFRESH: 'none',
  };
  shop.begin('outside/stub', { PORT: String(port) });
  const isUp = () =>
    call(stub, 'GET', '/calls').then(
      () => true,
      () => false,
    );
  [first, second] = await Promise.all([shop.api(env), shop.api(env), until(isUp, 'the stub to answer')]);
});

const behave = (mode: string) => call(stub, 'POST', `/mode/${mode}`);
const calls = async () => (await call(stub, 'GET', '/calls')).body;
const rate = (api: ShopProcess, currency: string) => api.call('GET', `/rates/${currency}`);
const known = async () => (await rate(first, 'USD')).body.stale === false;

it('a hundred equal calls at once over two processes are one call outside', async () => {
  await behave('slow');
  const both = Array.from({ length: 100 }, (_, index) => rate([first, second][index % 2]!, 'USD'));
  for (const { status, body } of await Promise.all(both)) {
    expect(status).toBe(200);
    expect(body).toMatchObject({ currency: 'USD', rate: 1.16, stale: false });
  }
  expect((await calls()).all).toBe(1);
});

it('while the outside API fails, old answers are marked, and it is hardly asked', async () => {
  await behave('fail');
  await until(async () => (await rate(first, 'USD')).body.stale, 'the answer to be old');
  const old = await rate(first, 'USD');
  expect(old).toMatchObject({ status: 200, body: { currency: 'USD', rate: 1.16, stale: true } });
  expect(old.headers.get('x-cache')).toBe('STALE');
  const cold = await rate(first, 'CHF');
  expect(cold).toMatchObject({ status: 503, body: { code: 'RATES_UNAVAILABLE' } });
  expect(cold.headers.get('retry-after')).toBe('2');

  // The breaker is open: one call for each of its pauses.
  const begin = performance.now();
  const { all } = await calls();
  await until(async () => {
    expect((await rate(first, 'USD')).body.stale).toBe(true);
    return performance.now() - begin > 1.9 * PAUSE_MS;
  }, 'a pause to end, and most of another');
  const seen = (await calls()).all - all;
  expect(seen).toBeLessThanOrEqual(1 + Math.floor((performance.now() - begin) / PAUSE_MS));

  await behave('well');
  await until(known, 'the answer to be new again');
});

it('while it hangs, few calls wait, each ends in time, and the rest of the shop answers', async () => {
  await behave('hang');
  const begun = (await calls()).all;
  const many = Array.from({ length: 30 }, (_, n) =>
    rate(first, `X${'ABCDEF'[Math.floor(n / 6)]}${'ABCDEF'[n % 6]}`),
  );
  await until(async () => (await calls()).open > 0, 'calls to hang');
  expect((await first.call('GET', '/products/1')).body.code).toBe('UNKNOWN_PRODUCT');
  for (const answer of await Promise.all(many))
    expect(answer).toMatchObject({ status: 503, body: { code: 'RATES_UNAVAILABLE' } });
  await until(async () => (await calls()).open === 0, 'the calls to be given up');
  const { all, mostOpen } = await calls();
  expect(mostOpen).toBeLessThanOrEqual(4);
  expect(all - begun).toBeLessThan(30);

  await behave('well');
  await until(known, 'the answer to be new again');
});

it('bad requests are refused, and what the outside API does not know', async () => {
  const { all } = await calls();
  for (const currency of ['usd', 'EURO', 'E1', 'E%2FR'])
    expect((await rate(second, currency)).status, currency).toBe(400);
  expect((await calls()).all).toBe(all);
  expect(await rate(second, 'ZZZ')).toMatchObject({ status: 404, body: { code: 'UNKNOWN_CURRENCY' } });
  expect((await rate(second, 'JPY')).body).toMatchObject({ rate: 181, stale: false });
});

it('calls that find no room do not keep the others from asking', async () => {
  await until(async () => (await rate(first, 'YYY')).status === 404, 'the pause of the test before to end');
  await behave('slow');
  await Promise.all(Array.from({ length: 12 }, (_, n) => rate(first, `YY${'ABCDEFGHIJKL'[n]}`)));
  expect(await rate(first, 'GBP')).toMatchObject({ status: 200, body: { rate: 0.87 } });
});
