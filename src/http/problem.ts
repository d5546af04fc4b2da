/** Errors as `application/problem+json` (RFC 9457), with Sluice's stable code. */
import type { FastifyReply } from 'fastify';
import {
  BackpressureError,
  HoldEndedError,
  HoldExceededError,
  InsufficientPointsError,
  SluiceError,
} from '../shared/errors.ts';
import { RequestError } from './request-error.ts';

/**
 * Whether something of the request may be in effect: `no`; `yes`, applied but not as durable as asked;
 * `unknown`, since no answer came. In the last two cases repeat it with the same id.
 */
type Applied = 'no' | 'yes' | 'unknown';

export interface ProblemBody {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly retryable: boolean;
  readonly applied: Applied;
  readonly [more: string]: unknown;
}

/** Codes of errors that the caller can solve; all codes that are not here are ours. */
export const STATUS: Readonly<Record<string, number>> = {
  INVALID_REQUEST: 400,
  INVALID_UPDATE: 400,
  INVALID_AMOUNT: 400,
  INVALID_KEY: 400,
  INVALID_ACCOUNT: 400,
  INVALID_ID: 400,
  MISSING_ID: 400,
  INVALID_REASON: 400,
  INVALID_METADATA: 400,
  INVALID_EXPIRY: 400,
  INVALID_CONFIGURATION: 400,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  UNKNOWN_COUNTER: 404,
  UNKNOWN_PROGRAM: 404,
  UNKNOWN_VALUE: 404,
  UNKNOWN_HOLD: 404,
  UNKNOWN_OPERATION: 404,
  NOT_RANKED: 404,
  METHOD_NOT_ALLOWED: 405,
  REQUEST_TIMEOUT: 408,
  INSUFFICIENT_POINTS: 409,
  HOLD_ENDED: 409,
  HOLD_EXCEEDED: 409,
  OUT_OF_RANGE: 409,
  OPERATION_FINISHED: 409,
  NOT_RUNNING_HERE: 409,
  COUNT_CHANGED: 409,
  VERIFY_RUNNING: 409,
  REQUEST_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  IDEMPOTENCY_KEY_REUSED: 422,
  RATE_LIMITED: 429,
};

const TITLES: Readonly<Record<number, string>> = {
  400: 'The request is not valid',
  401: 'No valid key',
  403: 'The key may not do this',
  404: 'There is no such thing',
  405: 'The path does not take this method',
  408: 'The request took too long to arrive',
  409: 'The current state does not allow this',
  413: 'The request is too large',
  415: 'The body has the wrong type',
  422: 'The idempotency key belongs to another request',
  429: 'Too many requests',
  500: 'Sluice failed',
  503: 'Sluice cannot do this now',
};

/** Messages of these name hosts or tables, which is for the log of the operator and not for callers. */
const DETAILS: Readonly<Record<string, string>> = {
  REDIS_UNAVAILABLE: 'Redis cannot be reached now. Nothing was applied; repeat the request.',
  TOO_FEW_REPLICAS:
    'Redis has fewer replicas now than this durability needs. Nothing was applied; repeat the request, or ask for another durability.',
  DATABASE_UNAVAILABLE: 'The database cannot be reached now. Nothing was applied; repeat the request.',
  TABLE_UNUSABLE:
    'The table of this counter, program or value cannot be used now, and this value is not in Redis; repeat the request later.',
  ACCESS_DENIED:
    'A server refuses the credentials of the service now. Nothing was applied; repeat the request.',
  CREDENTIALS_UNAVAILABLE: 'The database cannot be reached now. Nothing was applied; repeat the request.',
};
const INTERNAL = 'Sluice cannot do this; the log of the service says why. Nothing was applied.';

const APPLIED: Readonly<Record<string, Applied>> = {
  UNKNOWN_OUTCOME: 'unknown',
  NOT_DURABLE: 'yes',
  INTERNAL: 'unknown',
};

/**
 * A caller in the process must repair these, or wait; a client can only wait. A new password reaches the processes
 * some seconds after the server, and no update may be given up for that.
 */
const PASSES_FOR_CLIENTS: ReadonlySet<string> = new Set(['ACCESS_DENIED']);

function statusOf(code: string, retryable: boolean): number {
  return STATUS[code] ?? (retryable ? 503 : 500);
}

/** What a caller is told of an error of one update. */
export interface Told {
  readonly code: string;
  readonly detail: string;
  readonly retryable: boolean;
  readonly applied: Applied;
}

export function toldOf(error: {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
}): Told {
  const { code } = error;
  const retryable = error.retryable || PASSES_FOR_CLIENTS.has(code);
  const isOurs = statusOf(code, retryable) === 500;
  const detail = DETAILS[code] ?? (isOurs ? INTERNAL : error.message);
  return { code, detail, retryable, applied: APPLIED[code] ?? 'no' };
}

export function problemOf(error: Error): ProblemBody {
  const known = error instanceof SluiceError ? error : { code: 'INTERNAL', message: '', retryable: false };
  const { code, detail, retryable, applied } = toldOf(known);
  const status = statusOf(code, retryable);
  return {
    type: `urn:sluice:problem:${code}`,
    title: TITLES[status]!,
    status,
    detail:
      code === 'INTERNAL' ? INTERNAL.replace('Nothing was applied', 'It may have been applied') : detail,
    code,
    retryable,
    applied,
    ...membersOf(error),
  };
}

/** What only problems of this kind have. */
function membersOf(error: Error): Record<string, unknown> {
  if (error instanceof InsufficientPointsError) return { balance: error.balance, held: error.held };
  if (error instanceof HoldExceededError) return { amount: error.amount };
  // `status` is the one of HTTP.
  if (error instanceof HoldEndedError) return { holdStatus: error.status, posted: error.posted };
  return error instanceof RequestError && error.problems ? { problems: error.problems } : {};
}

/** Seconds after which a caller may retry, if the error does not say. */
const RETRY_AFTER = 1;

function retryAfter(error: Error, { retryable }: ProblemBody): number | undefined {
  if (error instanceof RequestError && error.retryAfter !== undefined) return error.retryAfter;
  if (error instanceof BackpressureError) return Math.max(1, Math.ceil(error.retryAfterMs / 1000));
  return retryable ? RETRY_AFTER : undefined;
}

/** Bytes that are read to the end all the same, to keep the connection. */
const SHORT_BODY = 64 * 1024;

export const PROBLEM_TYPE = 'application/problem+json';

export function answerProblem(error: Error, reply: FastifyReply): ProblemBody {
  const problem = problemOf(error);
  const wait = retryAfter(error, problem);
  if (wait !== undefined) reply.header('retry-after', wait);
  // The rest of a long body is not read, so the connection cannot be used again.
  const { raw } = reply.request;
  if (!raw.complete && !(Number(raw.headers['content-length']) <= SHORT_BODY))
    reply.header('connection', 'close');
  if (problem.code === 'UNAUTHENTICATED') reply.header('www-authenticate', 'Bearer realm="sluice"');
  reply.code(problem.status).header('content-type', PROBLEM_TYPE).send(JSON.stringify(problem));
  return problem;
}
