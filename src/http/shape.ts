/** Checks what a request brings by the schemas of its route. */
import type { FastifyRequest } from 'fastify';
import type * as z from 'zod';
import { parseQuery } from './query.ts';
import { RequestError } from './request-error.ts';

export interface Shape {
  readonly params?: z.ZodType | undefined;
  readonly query?: z.ZodType | undefined;
  readonly body?: z.ZodType | undefined;
}

/** Parameters of the path, of the query, and the body, each undefined if the shape has none. @throws RequestError */
export function readShape({ params, query, body }: Shape, request: FastifyRequest) {
  return {
    params: params ? checked(params, request.params, '') : undefined,
    query: query ? checked(query, queryOf(request), '') : undefined,
    body: body ? checked(body, bodyOf(request), '/') : undefined,
  };
}

function queryOf(request: FastifyRequest) {
  return parseQuery((request.query as { text?: string }).text ?? '');
}

const SHOWN_PROBLEMS = 20;

/** @throws RequestError that names everything wrong, up to a limit */
function checked(schema: z.ZodType, value: unknown, root: string): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.slice(0, SHOWN_PROBLEMS).map(({ path, message }) => ({
    at: root + path.map(String).join('/'),
    problem: message,
  }));
  throw new RequestError(
    'INVALID_REQUEST',
    `The request is not valid: ${problems.map(({ at, problem }) => `${at || 'query'}: ${problem}`).join('; ')}.`,
    { problems },
  );
}

function bodyOf({ body }: FastifyRequest): unknown {
  if (body !== undefined) return body;
  throw new RequestError(
    'INVALID_REQUEST',
    'The request has no body; send JSON with "Content-Type: application/json".',
  );
}
