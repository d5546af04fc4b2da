/**
 * How many requests a caller may make, over all processes together.
 *
 * | algorithm | lets through | use it |
 * | --- | --- | --- |
 * | fixed window | `limit` from the first request on, then as many again: around the border twice the limit | if rough will do |
 * | sliding window | never more than `limit` in any window | for logins, and for what costs money |
 * | token bucket | a burst of `limit`, then one in each `seconds / limit` | for most APIs: people come in bursts |
 * | leaky bucket | one in each `seconds / limit`; up to `limit` wait for their turn | before what bears no bursts |
 *
 * What it does not do: it keeps no flood off the network, which is for the load balancer's firewall. While Redis is
 * away, each process limits by itself in a fixed window: n processes let n times the limit through, and no more.
 */
import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Redis } from 'ioredis';
import ipaddr from 'ipaddr.js';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { HttpError } from '../errors.ts';
import type { Shop } from '../shop.ts';

/** The name, of letters and dashes, is part of keys and of answers. A bucket of `limit` refills in `seconds`. */
export interface Quota {
  readonly name: string;
  readonly algorithm: 'fixed' | 'sliding' | 'token' | 'leaky';
  readonly limit: number;
  readonly seconds: number;
}

/** `resetMs`: until more is allowed than `remaining`. `turnMs`: until it is this request's turn. */
type Verdict = { allowed: boolean; remaining: number; resetMs: number; turnMs: number };
type Decide = (caller: string) => Promise<Verdict>;
type RedisWithScript = Redis & {
  shopLimit(key: string, ...quota: (string | number)[]): Promise<[number, number, number, number]>;
};

/** The library rejects with its answer if the caller is refused, and with an Error if its store fails. */
function byLibrary(limiter: RateLimiterRedis | RateLimiterMemory): Decide {
  return async caller => {
    const answer = await limiter.consume(caller).catch((refusal: unknown) => {
      if (refusal instanceof RateLimiterRes) return refusal;
      throw refusal;
    });
    const { consumedPoints, remainingPoints: remaining, msBeforeNext: resetMs } = answer;
    return { allowed: consumedPoints <= limiter.points, remaining, resetMs, turnMs: 0 };
  };
}

/** The algorithms that the library lacks: its "bursty" limiter is two windows, and its queue is one process' own. */
function byScript(redis: RedisWithScript, prefix: string, { algorithm, limit, seconds }: Quota): Decide {
  const lua = readFileSync(`${import.meta.dirname}/limits.lua`, 'utf8');
  redis.defineCommand('shopLimit', { numberOfKeys: 1, lua });
  const rule = [algorithm === 'sliding' ? 'sliding' : 'bucket', limit, seconds * 1e6] as const;
  return async caller => {
    const [allowed, remaining, reset, turn] = await redis.shopLimit(`${prefix}:${caller}`, ...rule);
    const turnMs = algorithm === 'leaky' ? turn / 1000 : 0;
    return { allowed: allowed === 1, remaining, resetMs: reset / 1000, turnMs };
  };
}

/** A caller of IPv6 has a whole /64 of addresses, and so counts as one. */
export function networkOf(ip: string): string {
  const address = ipaddr.process(ip);
  return address instanceof ipaddr.IPv6 ? address.parts.slice(0, 4).join(':') : address.toString();
}

/** @returns for a caller's request: goes on when it may, or throws what becomes a 429 */
export function createLimiter({ redis, settings }: Shop, quota: Quota) {
  const { name, algorithm, limit, seconds } = quota;
  const prefix = `${settings.namespace}:shop:limits:${name}`;
  const library = { points: limit, duration: seconds, keyPrefix: prefix };
  const decide =
    algorithm === 'fixed'
      ? byLibrary(new RateLimiterRedis({ ...library, storeClient: redis }))
      : byScript(redis as RedisWithScript, prefix, quota);
  const insurance = byLibrary(new RateLimiterMemory(library));
  return async (caller: string, request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const verdict = await decide(caller).catch((err: unknown) => {
      request.log.warn({ err }, 'no answer of Redis about a limit, so this process decides');
      return insurance(caller);
    });
    const reset = Math.ceil(verdict.resetMs / 1000);
    // Fields of draft-ietf-httpapi-ratelimit-headers. A route with two quotas lists both.
    addTo(reply, 'ratelimit-policy', `"${name}";q=${limit};w=${seconds}`);
    addTo(reply, 'ratelimit', `"${name}";r=${verdict.remaining};t=${reset}`);
    if (!verdict.allowed) throw new HttpError(429, 'RATE_LIMITED', `Repeat this in ${reset} s.`, reset);
    if (verdict.turnMs > 0) await setTimeout(verdict.turnMs);
  };
}

function addTo(reply: FastifyReply, field: string, item: string): void {
  reply.header(field, [reply.getHeader(field) ?? [], item].flat().join(', '));
}
