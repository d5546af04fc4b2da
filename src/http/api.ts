/**
 * The server: registers the routes, and checks each request before a handler sees it. In this order: the key and
 * its rights, the rate, the body's type and size, the shape.
 */
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { ApiConfig } from '../shared/config/api.ts';
import { type Access, type Declared, decide } from './access.ts';
import { answerClientError, errorOf } from './framework-errors.ts';
import { type HandlerParts, register } from './handler.ts';
import { parseBody } from './json-body.ts';
import type { KeyRing } from './key-ring.ts';
import type { ApiMetrics } from './metrics.ts';
import { answerProblem } from './problem.ts';
import { RateLimits } from './rate-limits.ts';
import { RequestError } from './request-error.ts';
import { routes } from './routes.ts';

export interface ApiParts extends HandlerParts {
  readonly ring: KeyRing;
  readonly metrics: ApiMetrics;
}

/** Largest JSON body, bytes. */
const BODY_LIMIT = 1024 * 1024;
/** Room for a query of 1,000 keys. */
const HEADERS_LIMIT = 128 * 1024;
/** How often the times of connections are checked. */
const CHECK_MS = 1000;
/** How often, at the end, connections are closed whose requests are answered. */
const IDLE_CHECK_MS = 50;

declare module 'fastify' {
  interface FastifyRequest {
    access: Access | undefined;
  }
  interface FastifyContextConfig {
    declared?: Declared;
  }
}

export class Api {
  readonly server: FastifyInstance;
  readonly #config: ApiConfig;
  #draining = false;

  constructor(parts: ApiParts, config: ApiConfig) {
    this.#config = config;
    this.server = createServer(config);
    const { server } = this;
    server.decorateRequest('access', undefined);
    server.setErrorHandler((error, _, reply) => answer(error as Error, reply, parts.log));
    server.setNotFoundHandler((request, reply) => answer(notFound(request, reply), reply, parts.log));
    this.#checkRequests(parts);
    server.removeAllContentTypeParsers();
    server.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_, body, done) => {
      try {
        done(null, parseBody(body as Buffer));
      } catch (error) {
        done(error as Error);
      }
    });
    // Nothing of it is read before a handler does.
    server.addContentTypeParser('application/x-ndjson', (_, payload, done) => done(null, payload));
    for (const route of routes) register(server, route, parts);
  }

  /** @returns the port @throws the error of `listen`, such as EADDRINUSE */
  async listen(): Promise<number> {
    const { host, port } = this.#config;
    await this.server.listen({ host, port });
    return (this.server.server.address() as AddressInfo).port;
  }

  /** From now on each answer tells its client to open another connection for the next request. */
  drain(): void {
    this.#draining = true;
  }

  /** Takes no new connections, and waits for open requests at most this long. @returns whether all ended */
  async close(deadlineMs: number): Promise<boolean> {
    this.#draining = true;
    let inTime = true;
    const cut = setTimeout(() => {
      inTime = false;
      this.server.server.closeAllConnections();
    }, deadlineMs);
    // A client that keeps the connection of its last answer would hold up the end.
    const idle = setInterval(() => this.server.server.closeIdleConnections(), IDLE_CHECK_MS);
    await this.server.close();
    clearInterval(idle);
    clearTimeout(cut);
    return inTime;
  }

  #checkRequests({ ring, metrics }: ApiParts): void {
    const { server } = this;
    const limits = new RateLimits(this.#config.rate, this.#config.burst);
    server.addHook('onRoute', ({ config, url }) => {
      if (!config?.declared) throw new Error(`the route ${url} does not declare who may use it`);
    });
    server.addHook('onRequest', (request, reply, done) => {
      if (this.#draining) reply.header('connection', 'close');
      const access = decide(request, reply, ring, limits);
      const go = (decided: Access | undefined) => {
        request.access = decided;
        done();
      };
      if (access instanceof Promise) access.then(go, done);
      else go(access);
    });
    this.#limitBodies();
    server.addHook('onResponse', (request, reply, done) => {
      this.#limitUnread(request.raw);
      metrics.answered(request.routeOptions.url, request.method, reply.raw.statusCode, reply.elapsedTime);
      done();
    });
  }

  /** The server's own limits are for whole requests; those of a stream may take any time. */
  #limitBodies(): void {
    const { bodyMs } = this.#config;
    /** Requests whose body is not complete, with the time when it has to be, the earliest first. */
    const open = new Map<FastifyRequest, number>();
    // One timer for all: one for each request cost more than to read its body.
    const timer = setInterval(
      () => {
        const now = performance.now();
        for (const [request, until] of open) {
          if (until > now) return;
          open.delete(request);
          request.raw.destroy(new Error('body'));
        }
      },
      Math.min(CHECK_MS, bodyMs / 2),
    );
    const { server } = this;
    server.addHook('onClose', (_, done) => {
      clearInterval(timer);
      done();
    });
    server.addHook('preParsing', (request, _, payload, done) => {
      open.set(request, performance.now() + bodyMs);
      done(null, payload);
    });
    server.addHook('preValidation', (request, _, done) => {
      open.delete(request);
      done();
    });
    server.addHook('onError', (request, _reply, _error, done) => {
      open.delete(request);
      done();
    });
    server.addHook('onRequestAbort', (request, done) => {
      open.delete(request);
      done();
    });
  }

  /**
   * A request may have its answer before its body is there: it has no key, or the route reads none. The rest must
   * not keep the connection for longer than a body may take.
   */
  #limitUnread(raw: IncomingMessage): void {
    if (raw.complete || raw.destroyed) return;
    const timer = setTimeout(() => raw.destroy(), this.#config.bodyMs);
    raw.once('close', () => clearTimeout(timer));
  }
}

function createServer(config: ApiConfig): FastifyInstance {
  const { tls, trustedProxies, headersMs, idleMs, keepAliveMs, connections } = config;
  const times = { headersTimeout: headersMs, connectionsCheckingInterval: CHECK_MS };
  const https = tls && { cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) };
  const options = { ...times, maxHeaderSize: HEADERS_LIMIT };
  const server = Fastify({
    logger: false,
    bodyLimit: BODY_LIMIT,
    trustProxy: trustedProxies.length > 0 ? [...trustedProxies] : false,
    connectionTimeout: idleMs,
    keepAliveTimeout: keepAliveMs,
    requestTimeout: 0,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    clientErrorHandler: answerClientError,
    frameworkErrors: (error, _, reply) => {
      answerProblem(errorOf(error), reply);
    },
    // Each route parses its query, where an error has an answer.
    routerOptions: { querystringParser: text => ({ text }) },
    ...(https ? { https: { ...https, ...options } } : { http: options }),
  }) as unknown as FastifyInstance;
  server.server.maxConnections = connections;
  return server;
}

function answer(error: Error, reply: FastifyReply, log: Logger): void {
  const ours = errorOf(error);
  const { status, code } = answerProblem(ours, reply);
  const { routeOptions, ip: client } = reply.request;
  // The route, and not the URL, whose query holds keys.
  if (status === 500 || code === 'ACCESS_DENIED')
    log.error({ err: error, route: routeOptions.url, client, code }, 'request failed');
}

const PATHS = Map.groupBy(routes, route => route.path);

/** The path may be known, with another method. */
function notFound(request: FastifyRequest, reply: FastifyReply): RequestError {
  const [path = ''] = request.url.split('?');
  for (const [template, known] of PATHS) {
    const form = template.split(/\{\w+\}/).map(part => part.replaceAll('.', '\\.'));
    if (!new RegExp(`^${form.join('[^/]+')}$`).test(path)) continue;
    const methods = known.map(({ method }) => method).join(', ');
    reply.header('allow', methods);
    return new RequestError('METHOD_NOT_ALLOWED', `This path takes ${methods} only.`);
  }
  return new RequestError('NOT_FOUND', 'There is no such path; /v1/openapi.json lists all.');
}
