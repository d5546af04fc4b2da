/** The HTTP server: its parts, and what all routes have in common. */
import Fastify, { type FastifyInstance, LogController } from 'fastify';
import { LIMITS } from 'sluice';
import { bonus } from './bonus/routes.ts';
import { cacheUpkeep } from './cache-upkeep/routes.ts';
import { catalogue } from './catalogue/routes.ts';
import { counts } from './counts/routes.ts';
import { answerError } from './errors.ts';
import { feed } from './feed/routes.ts';
import { follows } from './follows/routes.ts';
import { limits } from './limits/routes.ts';
import { operation } from './operation/routes.ts';
import { outside } from './outside/routes.ts';
import { payments } from './payments/routes.ts';
import { points } from './points/routes.ts';
import { posts } from './posts/routes.ts';
import { scores } from './scores/routes.ts';
import { sessions } from './sessions/routes.ts';
import type { Part, Shop } from './shop.ts';
import { stock } from './stock/routes.ts';

/** Routes of one part do not see hooks of another one. The first one documents all that come after it. */
const PARTS: readonly Part[] = [
  counts,
  points,
  scores,
  stock,
  posts,
  feed,
  follows,
  bonus,
  limits,
  sessions,
  payments,
  outside,
  catalogue,
  cacheUpkeep,
];

export async function createServer(shop: Shop): Promise<FastifyInstance> {
  const api = Fastify({
    logger: true,
    logController: new LogController({ disableRequestLogging: true }),
    // A number in a string is a caller's mistake, and so is a field that there is not; the shop does not guess.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
    // A byte of a key takes at most three characters in a URL.
    routerOptions: { maxParamLength: 3 * LIMITS.key },
    trustProxy: shop.settings.trustedProxies ?? false,
  });
  api.setErrorHandler(answerError);
  endConnections(api);
  // On the server itself, since it documents the routes of all parts.
  await operation(api, shop);
  for (const part of PARTS) await api.register(async scope => part(scope, shop));
  return api;
}

/**
 * Closing waits until no connection is open. Idle ones are ended at once; those with an open request end with its
 * answer, or their callers would keep them alive for another 72 seconds.
 */
function endConnections(api: FastifyInstance): void {
  let isClosing = false;
  api.addHook('preClose', async () => {
    isClosing = true;
  });
  api.addHook('onSend', async (_, reply) => {
    if (isClosing) reply.header('connection', 'close');
  });
}
