/**
 * The API: registers its routes on the server, and checks each request before a handler sees it. In this order: the
 * key and its rights, the rate, the body's type and size, the shape.
 */
import type { FastifyInstance } from 'fastify';
import type { ApiConfig } from '../shared/config/api.ts';
import { type Access, type Declared, decide } from './access.ts';
import { type HandlerParts, register } from './handler.ts';
import type { KeyRing } from './key-ring.ts';
import type { ApiMetrics } from './metrics.ts';
import { RateLimits } from './rate-limits.ts';
import { routes } from './routes.ts';
import { answerError, HttpServer, notFound } from './server.ts';

export interface ApiParts extends HandlerParts {
  readonly ring: KeyRing;
  readonly metrics: ApiMetrics;
}

declare module 'fastify' {
  interface FastifyRequest {
    access: Access | undefined;
  }
  interface FastifyContextConfig {
    declared?: Declared;
  }
}

const missing = notFound(routes, '/v1/openapi.json lists all.');

/** The server with all routes of the API. */
export function createApi(parts: ApiParts, config: ApiConfig): HttpServer {
  const server = new HttpServer(config, parts.log);
  const { app } = server;
  app.decorateRequest('access', undefined);
  app.setNotFoundHandler((request, reply) => answerError(missing(request, reply), reply, parts.log));
  checkRequests(app, parts, config);
  // Nothing of it is read before a handler does.
  app.addContentTypeParser('application/x-ndjson', (_, payload, done) => done(null, payload));
  for (const route of routes) register(app, route, parts);
  return server;
}

function checkRequests(app: FastifyInstance, { ring, metrics }: ApiParts, config: ApiConfig): void {
  const limits = new RateLimits(config.rate, config.burst);
  app.addHook('onRoute', ({ config: declared, url }) => {
    if (!declared?.declared) throw new Error(`the route ${url} does not declare who may use it`);
  });
  app.addHook('onRequest', (request, reply, done) => {
    const access = decide(request, reply, ring, limits);
    const go = (decided: Access | undefined) => {
      request.access = decided;
      done();
    };
    if (access instanceof Promise) access.then(go, done);
    else go(access);
  });
  app.addHook('onResponse', (request, reply, done) => {
    metrics.answered(request.routeOptions.url, request.method, reply.raw.statusCode, reply.elapsedTime);
    done();
  });
}
