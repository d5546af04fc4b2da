/**
 * One load of a key among all processes: a lock in the cache's Redis that is also the right to store.
 *
 * The pattern: SET NX with a token and a time limit. Who gets it loads; others look now and then for what he stored. A
 * process that dies with the lock stops the others only until its limit. The value is stored by the script that compares
 * the token, so a holder whose time is over, or whose key was changed since he began to load, stores nothing. When to
 * use it: for data that is slow to load and that many ask for at once. What it does not do: it does not make the load
 * happen once. After its time limit, or if the cache's Redis is away, another process loads too.
 */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';

export interface Lease {
  /** @returns whether it was stored */
  store(text: string, ms: number): Promise<boolean>;
  /**
   * Gives the lock its whole time again, for a load that begins only now: also if its time is over and nobody has it.
   * @returns false: somebody else has it
   */
  renew(): Promise<boolean>;
  /** Lets others load at once, after a load that failed. */
  release(): Promise<void>;
}

const STORE = `
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
return 1`;
const RENEW = `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`;
/** A lock that is deleted without its token may be that of another process by now. */
const RELEASE = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`;

export const lockOf = (key: string) => `${key}:lock`;

/**
 * Tries to get the lock of a key and reads its value, in this order and in one call: whoever gets the lock after
 * another one's load finds what that one stored.
 * @param alone false: takes the lock from its holder
 */
export async function takeLease(redis: Redis, key: string, limitMs: number, alone = true) {
  const token = randomUUID();
  const lock = lockOf(key);
  const calls = redis.pipeline();
  if (alone) calls.set(lock, token, 'PX', limitMs, 'NX');
  else calls.set(lock, token, 'PX', limitMs);
  const [[takeError, taken], [readError, text]] = (await calls.get(key).exec()) as [
    [Error | null, 'OK' | null],
    [Error | null, string | null],
  ];
  const error = takeError ?? readError;
  if (error) {
    // A Redis that was only slow takes the lock later, for nobody.
    void redis.eval(RELEASE, 1, lock, token).catch(() => {});
    throw error;
  }
  const lease: Lease = {
    store: async (value, ms) => (await redis.eval(STORE, 2, key, lock, token, value, Math.ceil(ms))) === 1,
    renew: async () => (await redis.eval(RENEW, 1, lock, token, limitMs)) === 1,
    release: async () => {
      await redis.eval(RELEASE, 1, lock, token);
    },
  };
  return { lease: taken === 'OK' ? lease : undefined, text };
}
