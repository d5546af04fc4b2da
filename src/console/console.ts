/**
 * The server of the console: who asks is decided for every request in one hook, then the page's files, the logins and
 * the routes answer. What each route declares is all that gives anyone a right.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { answerError, HttpServer, notFound, routerPath } from '../http/server.ts';
import { readShape } from '../http/shape.ts';
import type { ConsoleConfig } from '../shared/config/console.ts';
import type { PageAssets } from './assets.ts';
import { headersOf } from './headers.ts';
import { type LoginParts, type LoginRoute, loginRoutes, registerLogin } from './login.ts';
import type { ConsoleParts } from './parts.ts';
import { type Asker, handled, type Route } from './route.ts';
import { routes } from './routes.ts';

declare module 'fastify' {
  interface FastifyRequest {
    asker: Asker | undefined;
  }
}

export interface ConsoleServerParts extends ConsoleParts {
  readonly assets: PageAssets;
  readonly login: LoginParts;
  /** Of OpenID Connect, if it is configured. */
  readonly moreLogins: readonly LoginRoute[];
}

/** The console is for a few people; a page holds one stream open. */
const LIMITS = {
  connections: 500,
  headersMs: 10_000,
  bodyMs: 15_000,
  idleMs: 75_000,
  keepAliveMs: 75_000,
} as const;

/** Ready to listen. */
export function createConsole(parts: ConsoleServerParts, config: ConsoleConfig): HttpServer {
  const { host, port, tls, trustedProxies } = config;
  const server = new HttpServer({ ...LIMITS, host, port, tls, trustedProxies }, parts.log);
  const { app } = server;
  app.decorateRequest('asker', undefined);
  checkRequests(app, parts, config);
  const logins = [...loginRoutes, ...parts.moreLogins];
  registerLogin(app, logins, parts.login);
  for (const route of routes) register(server, route, parts);
  registerPage(app, parts.assets);
  const missing = notFound([...routes, ...logins], 'the console has its pages and /api.');
  app.setNotFoundHandler((request, reply) => answerError(missing(request, reply), reply, parts.log));
  return server;
}

/** The order counts: nothing is read of a request before it is known who asks, and from where. */
function checkRequests(app: FastifyInstance, { login }: ConsoleServerParts, config: ConsoleConfig): void {
  app.addHook('onRoute', ({ config: declared, url }) => {
    if (!declared?.console) throw new Error(`the route ${url} does not declare which role may use it`);
  });
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(headersOf(config));
    request.asker = await login.access.check(request);
  });
}

function register({ app, closing }: HttpServer, route: Route, parts: ConsoleServerParts): void {
  app.route({
    method: route.method,
    url: routerPath(route.path),
    config: { console: { role: route.role } },
    handler: async (request, reply) => {
      const call = {
        ...readShape(route.shape, request),
        asker: request.asker!,
        reply,
        isStillAllowed: () => isStillAllowed(request, parts),
        closing,
      };
      const answer = await handled(route, call, parts);
      // A stream has answered by itself.
      if (!answer) return reply;
      reply.code(answer.status ?? 200).header('content-type', 'application/json');
      return reply.send(JSON.stringify(answer.body));
    },
  });
}

async function isStillAllowed(request: FastifyRequest, { login }: ConsoleServerParts): Promise<boolean> {
  const asker = await login.access.check(request);
  return asker?.name === request.asker?.name;
}

function registerPage(app: FastifyInstance, assets: PageAssets): void {
  app.route({
    method: ['GET', 'HEAD'],
    url: '/*',
    config: { console: { role: 'public', isLinked: true } },
    handler: (request, reply) => sendAsset(assets, request, reply),
  });
}

function sendAsset(assets: PageAssets, request: FastifyRequest, reply: FastifyReply) {
  const [path = ''] = request.url.split('?');
  const asset = assets.at(path);
  if (!asset) return reply.callNotFound();
  const { 'if-none-match': known, 'accept-encoding': encodings = '' } = request.headers;
  reply.headers({
    // Asked each time, and answered without a body while it is the same.
    'cache-control': 'no-cache',
    'content-type': asset.type,
    etag: asset.etag,
    vary: 'accept-encoding',
  });
  if (known === asset.etag) return reply.code(304).send();
  if (!/\bgzip\b/.test(String(encodings))) return reply.send(asset.body);
  return reply.header('content-encoding', 'gzip').send(asset.gzip);
}
