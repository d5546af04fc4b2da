/** The server under the API and the console: its limits in size and time, and how it ends. */
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { Connections } from './connections.ts';
import { answerClientError, errorOf } from './framework-errors.ts';
import { parseBody } from './json-body.ts';
import { answerProblem } from './problem.ts';
import { RequestError } from './request-error.ts';

export interface ServerConfig {
  readonly host: string;
  readonly port: number;
  /** Undefined for HTTP without TLS. */
  readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined;
  /** Addresses and networks whose `X-Forwarded-For` counts. */
  readonly trustedProxies: readonly string[];
  /** Most open connections. */
  readonly connections: number;
  /** Longest times: until the head and the body of a request are there, without a byte, and between requests. */
  readonly headersMs: number;
  readonly bodyMs: number;
  readonly idleMs: number;
  readonly keepAliveMs: number;
}

/** Largest JSON body, bytes. */
const BODY_LIMIT = 1024 * 1024;
/** Room for a query of 1,000 keys. */
const HEADERS_LIMIT = 128 * 1024;
/** How often the times of connections are checked. */
const CHECK_MS = 1000;
/** How often, at the end, connections are closed that have no request. */
const IDLE_CHECK_MS = 50;

export class HttpServer {
  readonly app: FastifyInstance;
  readonly #config: ServerConfig;
  readonly #connections: Connections;
  readonly #closing = new AbortController();
  #draining = false;

  /** Takes JSON bodies; answers errors as problems. */
  constructor(config: ServerConfig, log: Logger) {
    this.#config = config;
    this.app = createApp(config);
    this.#connections = new Connections(this.app.server);
    this.app.setErrorHandler((error, _, reply) => answerError(error as Error, reply, log));
    this.app.removeAllContentTypeParsers();
    this.app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_, body, done) => {
      try {
        done(null, parseBody(body as Buffer));
      } catch (error) {
        done(error as Error);
      }
    });
    this.app.addHook('onRequest', (_, reply, done) => {
      if (this.#draining) reply.header('connection', 'close');
      done();
    });
    this.#limitBodies();
  }

  /** @returns the port @throws the error of `listen`, such as EADDRINUSE */
  async listen(): Promise<number> {
    const { host, port } = this.#config;
    await this.app.listen({ host, port });
    return (this.app.server.address() as AddressInfo).port;
  }

  /** Aborted when the server closes: an answer that has no end of its own ends then. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** From now on each answer tells its client to open another connection for the next request. */
  drain(): void {
    this.#draining = true;
  }

  /** Takes no new connections, and waits for open requests at most this long. @returns whether all ended */
  async close(deadlineMs: number): Promise<boolean> {
    this.#draining = true;
    this.#closing.abort();
    let inTime = true;
    const cut = setTimeout(() => {
      inTime = !this.#connections.haveRequests;
      this.#connections.closeAll();
    }, deadlineMs);
    // A client that keeps a connection for its next request would hold up the end.
    const idle = setInterval(() => this.#connections.closeIdle(this.#config.headersMs), IDLE_CHECK_MS);
    await this.app.close();
    clearInterval(idle);
    clearTimeout(cut);
    return inTime;
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
    const { app } = this;
    app.addHook('onClose', (_, done) => {
      clearInterval(timer);
      done();
    });
    app.addHook('preParsing', (request, _, payload, done) => {
      open.set(request, performance.now() + bodyMs);
      done(null, payload);
    });
    app.addHook('preValidation', (request, _, done) => {
      open.delete(request);
      done();
    });
    app.addHook('onError', (request, _reply, _error, done) => {
      open.delete(request);
      done();
    });
    app.addHook('onRequestAbort', (request, done) => {
      open.delete(request);
      done();
    });
    app.addHook('onResponse', (request, _, done) => {
      this.#limitUnread(request.raw);
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

function createApp(config: ServerConfig): FastifyInstance {
  const { tls, trustedProxies, headersMs, idleMs, keepAliveMs, connections } = config;
  // Without a limit for whole requests; that of node:http, 5 minutes, would refuse a longer one for headers.
  const times = { headersTimeout: headersMs, requestTimeout: 0, connectionsCheckingInterval: CHECK_MS };
  const https = tls && { cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) };
  const options = { ...times, maxHeaderSize: HEADERS_LIMIT, handshakeTimeout: headersMs };
  const app = Fastify({
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
  app.server.maxConnections = connections;
  return app;
}

export function answerError(error: Error, reply: FastifyReply, log: Logger): void {
  const ours = errorOf(error);
  const { status, code } = answerProblem(ours, reply);
  const { routeOptions, ip: client } = reply.request;
  // The route, and not the URL, whose query holds keys.
  if (status === 500 || code === 'ACCESS_DENIED')
    log.error({ err: error, route: routeOptions.url, client, code }, 'request failed');
}

/** The form in which the router takes a path. */
export function routerPath(path: string): string {
  return path.replace(/\{(\w+)\}/g, ':$1');
}

/**
 * For a path that no route takes with the method of the request.
 * @param routes all routes @param hint where a list of them is
 */
export function notFound(
  routes: readonly { readonly method: string; readonly path: string }[],
  hint: string,
): (request: FastifyRequest, reply: FastifyReply) => RequestError {
  const paths = Map.groupBy(routes, route => route.path);
  return (request, reply) => {
    const [path = ''] = request.url.split('?');
    for (const [template, known] of paths) {
      const form = template.split(/\{\w+\}/).map(part => part.replaceAll('.', '\\.'));
      if (!new RegExp(`^${form.join('[^/]+')}$`).test(path)) continue;
      const methods = known.map(({ method }) => method).join(', ');
      reply.header('allow', methods);
      return new RequestError('METHOD_NOT_ALLOWED', `This path takes ${methods} only.`);
    }
    return new RequestError('NOT_FOUND', `There is no such path; ${hint}`);
  };
}
