/**
 * How many logins may fail: by address and by name. Both have a token bucket, and those that are longest unused are
 * forgotten, so memory is bounded. A login that succeeds costs nothing, and from an address where the name has
 * logged in before, the failures of others do not count: nobody can lock out a user by wrong passwords.
 */
import { isIPv6 } from 'node:net';
import { TokenBucket } from 'limiter';
import { RequestError } from '../http/request-error.ts';

/** Failures at once, and then a minute. */
const OF_ADDRESS = { burst: 20, perMinute: 10 } as const;
const OF_NAME = { burst: 10, perMinute: 5 } as const;
const MOST_KEPT = 10_000;

type Limit = typeof OF_ADDRESS | typeof OF_NAME;

export class LoginLimits {
  readonly #buckets = new Map<string, TokenBucket>();
  /** Pairs of name and address that have logged in. */
  readonly #proved = new Map<string, true>();

  /**
   * Counts an attempt.
   * @returns takes it back, since it succeeded
   * @throws RequestError if it is one too many
   */
  take(address: string, name: string): () => void {
    const from = networkOf(address);
    const pair = `pair ${from} ${name.toLowerCase()}`;
    const ofName = this.#proved.has(pair) ? pair : `name ${name.toLowerCase()}`;
    const buckets = [this.#bucket(`address ${from}`, OF_ADDRESS), this.#bucket(ofName, OF_NAME)] as const;
    const waitMs = Math.max(...buckets.map(bucket => bucket.getWaitTime(1)));
    if (waitMs > 0) {
      const wait = Math.ceil(waitMs / 1000);
      throw new RequestError('RATE_LIMITED', `Too many logins have failed; log in again after ${wait} s.`, {
        retryAfter: wait,
      });
    }
    for (const bucket of buckets) bucket.tryRemoveTokens(1);
    return () => {
      for (const bucket of buckets) bucket.content = Math.min(bucket.bucketSize, bucket.content + 1);
      keep(this.#proved, pair, true);
    };
  }

  #bucket(name: string, { burst, perMinute }: Limit): TokenBucket {
    let bucket = this.#buckets.get(name);
    if (!bucket) {
      bucket = new TokenBucket({ bucketSize: burst, tokensPerInterval: perMinute, interval: 'minute' });
      bucket.content = burst;
    }
    keep(this.#buckets, name, bucket);
    return bucket;
  }
}

/** Makes the entry the newest, and drops the oldest if there are too many. */
function keep<Value>(map: Map<string, Value>, name: string, value: Value): void {
  map.delete(name);
  map.set(name, value);
  if (map.size <= MOST_KEPT) return;
  const [oldest] = map.keys();
  map.delete(oldest!);
}

/** One machine may have all addresses of an IPv6 network of 64 bits. */
function networkOf(address: string): string {
  if (!isIPv6(address) || /^::ffff:\d+\./i.test(address)) return address.replace(/^::ffff:/i, '');
  const { hostname } = new URL(`http://[${address.split('%')[0]}]`);
  const [head = '', tail] = hostname.slice(1, -1).split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? 0 : tail.split(':').length;
    groups.push(...Array<string>(8 - groups.length - after).fill('0'));
  }
  return `${groups.slice(0, 4).join(':')}::`;
}
