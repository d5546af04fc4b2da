/**
 * A route as data: who may use it, what it takes, what it answers. The server and the OpenAPI document are both
 * made from it.
 */
import type { Readable, Writable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { Logger } from 'pino';
import type * as z from 'zod';
import type { Sluice } from '../producer/client.ts';
import type { FailedUpdates } from '../replay/index.ts';
import type { Definitions } from '../shared/config/definitions.ts';
import type { Access } from './access.ts';
import type { Scope } from './key-store.ts';
import type { RunningOperations } from './running-operations.ts';
import type { Shape as RouteShape } from './shape.ts';

/** What handlers work with. */
export interface Parts {
  readonly sluice: Sluice;
  readonly definitions: Definitions;
  /** Connects at the first call. */
  readonly failed: () => Promise<FailedUpdates>;
  readonly running: RunningOperations;
  readonly log: Logger;
}

/** One request that passed all checks. */
export interface Call<Params = unknown, Query = unknown, Body = unknown> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** The value of `Idempotency-Key`. */
  readonly idempotencyKey: string | undefined;
  /** How long the client asks to wait for MySQL, ms. */
  readonly waitMs: number | undefined;
  readonly access: Access;
  readonly reply: FastifyReply;
}

interface StreamCall<Params = unknown, Query = unknown> extends Call<Params, Query, undefined> {
  readonly input: Readable;
  /** The answer, of which the head is sent. */
  readonly output: Writable;
}

export type Answer =
  | { readonly status?: number; readonly body: unknown }
  | { readonly status?: number; readonly text: string; readonly type: string };

type Of<Schema> = Schema extends z.ZodType<infer Value> ? Value : undefined;

export interface Route<Shape extends RouteShape = RouteShape> {
  readonly method: 'GET' | 'POST';
  /** With the name of a parameter in braces, as in OpenAPI. */
  readonly path: string;
  readonly summary: string;
  readonly description?: string;
  /** The scope that a key needs, or `public` for what anyone may read. */
  readonly access: Scope | 'public';
  /** What the parameter `name` names; a key may be limited to some of them. */
  readonly names?: 'counter' | 'program' | 'value';
  /** Whether it reads the header `Idempotency-Key`. */
  readonly idempotent?: boolean;
  /** Whether it reads the header `Prefer`. */
  readonly waits?: boolean;
  readonly shape: Shape;
  /** Schemas of the answers by status; those of errors are the same for all. */
  readonly answers: Readonly<
    Record<number, { readonly description: string; readonly schema?: z.ZodType; readonly type?: string }>
  >;
  handle(
    call: Call<Of<Shape['params']>, Of<Shape['query']>, Of<Shape['body']>>,
    parts: Parts,
  ): Promise<Answer>;
  /** Takes NDJSON. Other routes refuse it. */
  stream?(call: StreamCall<Of<Shape['params']>, Of<Shape['query']>>, parts: Parts): Promise<void>;
}

/** Gives a route the types of its schemas. */
export function route<const Shape extends RouteShape>(declared: Route<Shape>): Route {
  return declared as unknown as Route;
}
