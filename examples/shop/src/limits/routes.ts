/** A route with each kind of limit, to try them. `limiter.ts` says which is for what. */
import type { Part } from '../shop.ts';
import { createLimiter, networkOf, type Quota } from './limiter.ts';

const QUOTAS: readonly Quota[] = [
  { name: 'fixed', algorithm: 'fixed', limit: 20, seconds: 60 },
  { name: 'sliding', algorithm: 'sliding', limit: 20, seconds: 60 },
  { name: 'token', algorithm: 'token', limit: 20, seconds: 60 },
  { name: 'leaky', algorithm: 'leaky', limit: 20, seconds: 2 },
];

export const limits: Part = (api, shop) => {
  for (const quota of QUOTAS) {
    const limit = createLimiter(shop, quota);
    const schema = { summary: `A limit to try: ${quota.name}`, tags: ['limits'] };
    api.get(`/limits/${quota.name}`, { schema }, async (request, reply) => {
      await limit(networkOf(request.ip), request, reply);
      return { allowed: true };
    });
  }
};
