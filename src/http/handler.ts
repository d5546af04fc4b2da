/**
 * From a request that may use a route to its answer: reads what the route declares, checks it by the route's
 * schemas, and sends what the handler gives back.
 */

import type { IncomingHttpHeaders } from 'node:http';
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { explain } from '../shared/explain.ts';
import { readIdempotencyKey } from './idempotency-key.ts';
import { readWait } from './persistence.ts';
import { RequestError } from './request-error.ts';
import type { Call, Parts, Route } from './route.ts';
import { routerPath } from './server.ts';
import { readShape } from './shape.ts';

export type InTrace = <Result>(headers: IncomingHttpHeaders, run: () => Result) => Result;

export interface HandlerParts extends Parts {
  /** Which servers the errors of their clients name. */
  readonly addresses: { readonly redis: string; readonly database: string };
  /** Runs a handler in the trace of its request; only if tracing is on. */
  readonly trace?: InTrace | undefined;
}

export function register(server: FastifyInstance, route: Route, parts: HandlerParts): void {
  const { method, path, access, names, shape, idempotent, waits } = route;
  const inTrace = parts.trace;
  server.route({
    method,
    url: routerPath(path),
    config: { declared: { access, names } },
    handler: (request, reply) => {
      const answered = () => handle(request, reply);
      return inTrace ? inTrace(request.headers, answered) : answered();
    },
  });
  async function handle(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const { headers } = request;
    const input = request.body instanceof Readable ? request.body : undefined;
    if (input && !route.stream)
      throw new RequestError('UNSUPPORTED_MEDIA_TYPE', 'This route takes no NDJSON; send JSON.');
    const call = {
      ...readShape(input ? { ...shape, body: undefined } : shape, request),
      idempotencyKey: idempotent ? readIdempotencyKey(headers['idempotency-key']) : undefined,
      waitMs: waits ? readWait(headers.prefer) : undefined,
      access: request.access!,
      reply,
    };
    if (input) return streamed(route, call as never, input, reply, parts);
    const answer = await route.handle(call as never, parts).catch(error => {
      // A server's client may have thrown it, whichever route it is.
      throw explain(error, parts.addresses.redis, parts.addresses.database);
    });
    reply.code(answer.status ?? 200);
    if ('text' in answer) return reply.header('content-type', answer.type).send(answer.text);
    return reply.header('content-type', 'application/json').send(JSON.stringify(answer.body));
  }
}

/** Answers while the request is still being read. An error after the head of the answer cuts the connection. */
async function streamed(
  route: Route,
  call: Call,
  input: Readable,
  reply: FastifyReply,
  parts: HandlerParts,
): Promise<void> {
  reply.hijack();
  const output = reply.raw;
  for (const [name, value] of Object.entries(reply.getHeaders()))
    if (value !== undefined) output.setHeader(name, value);
  output.writeHead(200, { 'content-type': 'application/x-ndjson' });
  output.flushHeaders();
  // A client that goes away ends the request, and what is written to it is nobody's.
  output.on('error', () => {});
  try {
    await route.stream!({ ...call, body: undefined, input, output } as never, parts);
    // The rest of a request that ended early is not read.
    if (!input.readableEnded) input.destroy();
  } catch (error) {
    if (!output.destroyed && !input.destroyed) parts.log.error({ err: error }, 'a stream of updates failed');
    output.destroy();
  }
}
