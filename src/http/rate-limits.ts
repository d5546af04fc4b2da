/**
 * How many requests a key may make to this process: a token bucket for each key. Answers tell the limit in the
 * `RateLimit` fields (draft 10).
 */
import type { FastifyReply } from 'fastify';
import { TokenBucket } from 'limiter';
import type { StoredKey } from './key-store.ts';
import { RequestError } from './request-error.ts';

interface Limit {
  readonly bucket: TokenBucket;
  readonly rate: number;
  readonly policy: string;
}

export class RateLimits {
  readonly #rate: number;
  readonly #burst: number;
  readonly #limits = new Map<string, Limit>();

  /** @param rate requests a second; 0 is no limit @param burst requests at once */
  constructor(rate: number, burst: number) {
    this.#rate = rate;
    this.#burst = burst;
  }

  /** Counts a request and writes the fields. @throws RequestError if it is one too many */
  take(key: StoredKey, reply: FastifyReply): void {
    const rate = key.rate ?? this.#rate;
    if (rate === 0) return;
    const { bucket, policy } = this.#limitOf(key.id, rate);
    const taken = bucket.tryRemoveTokens(1);
    const wait = taken ? 0 : Math.max(1, Math.ceil((1 - bucket.content) / rate));
    // `t` is when the whole quota is there again.
    const whole = Math.ceil((bucket.bucketSize - bucket.content) / rate);
    reply.header('ratelimit-policy', policy);
    reply.header('ratelimit', `"key";r=${Math.floor(bucket.content)};t=${whole}`);
    if (taken) return;
    throw new RequestError(
      'RATE_LIMITED',
      `The key has made more than ${rate} requests a second; repeat the request after ${wait} s, or send many updates in one request.`,
      { retryAfter: wait },
    );
  }

  #limitOf(id: string, rate: number): Limit {
    const known = this.#limits.get(id);
    if (known?.rate === rate) return known;
    const burst = rate === this.#rate ? this.#burst : 2 * rate;
    const bucket = new TokenBucket({ bucketSize: burst, tokensPerInterval: rate, interval: 'second' });
    bucket.content = burst;
    // The time in which an empty bucket fills is the window of the policy.
    const limit = { bucket, rate, policy: `"key";q=${burst};w=${Math.max(1, Math.round(burst / rate))}` };
    this.#limits.set(id, limit);
    return limit;
  }
}
