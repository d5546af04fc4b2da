/** A route of the console as data: its method, its path, the role that may use it, what it takes, what it does. */
import type { FastifyReply } from 'fastify';
import type * as z from 'zod';
import { SluiceError } from '../shared/errors.ts';
import { explain } from '../shared/explain.ts';
import type { Role } from './answers.ts';
import type { ConsoleParts } from './parts.ts';

/** Who asks. */
export interface Asker {
  /** The login, which audit records name. */
  readonly name: string;
  readonly role: Role;
  /** Address of the browser. */
  readonly address: string;
  /** Whether the role may see reasons, metadata and error texts of updates. */
  readonly seesPayloads: boolean;
}

/** One request that passed all checks. */
export interface Call<Params = unknown, Query = unknown, Body = unknown> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  readonly asker: Asker;
  readonly reply: FastifyReply;
  /** Whether the login still counts: a stream asks now and then. */
  readonly isStillAllowed: () => Promise<boolean>;
  /** Aborted when the server closes: a stream ends then. */
  readonly closing: AbortSignal;
}

export interface Answer {
  readonly status?: number;
  readonly body: unknown;
}

export interface RouteShape {
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
}

type Of<Schema> = Schema extends z.ZodType<infer Value> ? Value : undefined;

/** A route that needs a role. Those without one (login, the page's files) are in server.ts, where they are few. */
export interface Route<Shape extends RouteShape = RouteShape> {
  readonly method: 'GET' | 'POST';
  /** With the name of a parameter in braces. */
  readonly path: string;
  /** The lowest role that may use it. A `POST` that changes nothing is one whose query may be long. */
  readonly role: Role;
  readonly shape: Shape;
  /** Undefined if the handler has answered by itself, as a stream does. */
  handle(
    call: Call<Of<Shape['params']>, Of<Shape['query']>, Of<Shape['body']>>,
    parts: ConsoleParts,
  ): Promise<Answer | undefined>;
}

/** Gives a route the types of its schemas. */
export function route<const Shape extends RouteShape>(declared: Route<Shape>): Route {
  return declared as unknown as Route;
}

/** Calls the handler. An error of a server's client becomes one of ours, whichever route it is. */
export async function handled(route: Route, call: Call, parts: ConsoleParts): Promise<Answer | undefined> {
  try {
    return await route.handle(call as never, parts);
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    const { address, database } = parts.servers();
    throw explain(error, address, database.address);
  }
}
