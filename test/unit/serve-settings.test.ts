// What the variables of `sluice serve` may say, and which keys can be made, without a server.

import { expect, it } from 'vitest';
import { KeyStore } from '../../src/http/key-store.ts';
import { isLoopback } from '../../src/shared/config/api.ts';
import { readConfig } from '../../src/shared/config/config.ts';
import type { Database } from '../../src/shared/mysql/database.ts';

const file = import.meta.filename;

it('the variables have defaults that fit together', () => {
  expect(readConfig({}).api).toMatchObject({
    host: '127.0.0.1',
    port: 8080,
    rate: 10_000,
    burst: 20_000,
    tls: undefined,
    trustedProxies: [],
  });
  expect(readConfig({ SLUICE_API_RATE: '50000' }).api).toMatchObject({ rate: 50_000, burst: 100_000 });
  expect(readConfig({ SLUICE_API_PORT: 'tcp://10.0.0.1:80' }).api.port).toBe(8080);
  expect(readConfig({ SLUICE_TRUSTED_PROXIES: '10.0.0.0/8, ::1' }).api.trustedProxies).toEqual([
    '10.0.0.0/8',
    '::1',
  ]);
});

it.each([
  [{ SLUICE_API_PORT: 'x' }, /SLUICE_API_PORT must be a number from 0/],
  [{ SLUICE_API_RATE: '-1' }, /SLUICE_API_RATE must be a whole number from 0/],
  [{ SLUICE_API_RATE: '10', SLUICE_API_BURST: '5' }, /SLUICE_API_BURST must not be below/],
  [{ SLUICE_API_CONNECTIONS: '0' }, /SLUICE_API_CONNECTIONS must be a whole number from 1/],
  [{ SLUICE_TLS_CERT: file }, /belong together/],
  [{ SLUICE_TLS_CERT: file, SLUICE_TLS_KEY: `${file}.none` }, /SLUICE_TLS_KEY names a file/],
  [{ SLUICE_TRUSTED_PROXIES: '10.0.0.0/33' }, /"10.0.0.0\/33" is neither/],
  [{ SLUICE_TRUSTED_PROXIES: 'proxy.local' }, /"proxy.local" is neither/],
])('%j is refused', (environment, said) => {
  expect(() => readConfig(environment).api).toThrow(said);
});

it('the loopback is known in all its forms', () => {
  for (const host of ['127.0.0.1', '127.1.2.3', '::1', 'localhost'])
    expect(isLoopback(host), host).toBe(true);
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'example.org', '::ffff:10.0.0.1'])
    expect(isLoopback(host), host).toBe(false);
});

it('a key with wrong rights is refused before anything is written', async () => {
  const store = new KeyStore({ address: 'none' } as Database);
  for (const [name, rights, said] of [
    ['a b', { scopes: ['read'] }, /name of a key/],
    ['a', { scopes: ['all'] }, /scopes/],
    ['a', { scopes: [] }, /scopes/],
    ['a', { scopes: ['operate'], counters: ['views'] }, /scope operate/],
  ] as const)
    await expect(store.create(name, rights as never, null)).rejects.toThrow(said);
});
