// Keys that a process does not know: how often MySQL is asked for them, and what is answered without it.

import { pino } from 'pino';
import { afterEach, expect, it, vi } from 'vitest';
import { KeyRing } from '../../src/http/key-ring.ts';
import type { KeyStore, StoredKey } from '../../src/http/key-store.ts';
import { digestOf, makeKey } from '../../src/http/key-text.ts';
import { DatabaseUnavailableError } from '../../src/shared/errors.ts';

afterEach(() => {
  vi.useRealTimers();
});

/** A store in memory. `answer` lets a test hold or fail its answers. */
function memoryStore() {
  const keys: StoredKey[] = [];
  const store = { reads: 0, answer: async () => {} };
  const add = (): string => {
    const { id, secret, text } = makeKey();
    const times = { createdAt: new Date(), expiresAt: null, revokedAt: null, lastUsedAt: null };
    keys.push({ id, name: 'shop', digest: digestOf(secret), scopes: ['read'], ...times });
    return text;
  };
  const list = async () => {
    store.reads++;
    const found = [...keys];
    await store.answer();
    return found;
  };
  return { store, add, asStore: { list, used: async () => {} } as unknown as KeyStore };
}

async function openRing() {
  vi.useFakeTimers();
  const memory = memoryStore();
  const ring = new KeyRing(memory.asStore, pino({ level: 'silent' }));
  await ring.start();
  return { ...memory, ring };
}

it('made-up keys cost two reads of MySQL a second, however many come', async () => {
  const { ring, store } = await openRing();
  store.answer = () => new Promise(resolve => setTimeout(resolve, 1));
  const looks: Promise<unknown>[] = [];
  for (let ms = 0; ms < 4000; ms += 5) {
    looks.push(ring.look(makeKey().text));
    await vi.advanceTimersByTimeAsync(5);
  }
  expect(store.reads).toBeLessThan(12);
  await vi.advanceTimersByTimeAsync(1000);
  expect(new Set(await Promise.all(looks))).toEqual(new Set([undefined]));
});

it('a key that is made while a read runs is found at its first use', async () => {
  const { ring, store, add } = await openRing();
  store.answer = () => new Promise(resolve => setTimeout(resolve, 300));
  const other = ring.look(makeKey().text);
  await vi.advanceTimersByTimeAsync(100);
  const found = ring.look(add());
  await vi.advanceTimersByTimeAsync(2000);
  expect(await other).toBeUndefined();
  expect(await found).toMatchObject({ name: 'shop' });
});

it('an unknown key is no wrong key while MySQL is away', async () => {
  const { ring, store, add } = await openRing();
  const known = add();
  await vi.advanceTimersByTimeAsync(6000);
  const error = new DatabaseUnavailableError('mysql://db');
  store.answer = () => Promise.reject(error);
  const asked = ring.look(add());
  const refused = expect(asked).rejects.toBe(error);
  await vi.advanceTimersByTimeAsync(2000);
  await refused;
  expect(ring.find(known)).toMatchObject({ name: 'shop' });
});
