/** The HTTP server: its parts, and what all routes have in common. */
import Fastify, { type FastifyInstance, LogController } from 'fastify';
import { LIMITS } from 'sluice';
import { counts } from './counts/routes.ts';
import { answerError } from './errors.ts';
import { operation } from './operation/routes.ts';
import type { Part, Shop } from './shop.ts';

/** Routes of one part do not see hooks of another one. The first one documents all that come after it. */
const PARTS: readonly Part[] = [counts];

export async function createServer(shop: Shop): Promise<FastifyInstance> {
  const api = Fastify({
    logger: true,
    logController: new LogController({ disableRequestLogging: true }),
    // A number in a string is a caller's mistake; the shop does not guess amounts.
    ajv: { customOptions: { coerceTypes: false } },
    // A byte of a key takes at most three characters in a URL.
    routerOptions: { maxParamLength: 3 * LIMITS.key },
    trustProxy: shop.settings.trustedProxies ?? false,
  });
  api.setErrorHandler(answerError);
  // On the server itself, since it documents the routes of all parts.
  await operation(api, shop);
  for (const part of PARTS) await api.register(async scope => part(scope, shop));
  return api;
}
