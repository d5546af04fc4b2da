/** Errors as HTTP answers, by their stable codes and never by their texts. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { BackpressureError, InsufficientPointsError, InvalidUpdateError, SluiceError } from 'sluice';

/** An answer that is not what the caller asked for, with a stable code. */
export class HttpError extends Error {
  readonly statusCode: number;
  readonly code: string;
  /** Seconds after which the caller may try again. */
  readonly retryAfter: number | undefined;

  constructor(statusCode: number, code: string, message: string, retryAfter?: number) {
    super(message);
    this.statusCode = statusCode;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** Errors of Sluice that the caller can solve. */
const STATUS: Record<string, number> = {
  INSUFFICIENT_POINTS: 409,
  HOLD_ENDED: 409,
  HOLD_EXCEEDED: 409,
  UNKNOWN_HOLD: 404,
  OUT_OF_RANGE: 409,
  IDEMPOTENCY_KEY_REUSED: 422,
};

/** Seconds after which a caller may retry, if Sluice does not say. */
const RETRY_AFTER = 1;

/** Codes of connections to MySQL or Redis that are lost or were never made. */
const AWAY =
  /^(?:E(?:CONNREFUSED|CONNRESET|PIPE|TIMEDOUT|HOSTUNREACH|NOTFOUND)|PROTOCOL_\w+|ER_SERVER_SHUTDOWN|POOL_CLOSED)$/;
/** A MySQL that is read-only after a failover, or full, or had to choose whose transaction ends. */
const REFUSES =
  /^ER_(?:OPTION_PREVENTS_STATEMENT|READ_ONLY_MODE|CON_COUNT_ERROR|TOO_MANY_USER_CONNECTIONS|LOCK_DEADLOCK|LOCK_WAIT_TIMEOUT)$/;
/** ioredis gives its own errors no code, nor the replies of a Redis that is a replica, starts, or is full. */
const AWAY_REDIS =
  /^(?:Stream isn't writeable|Command timed out|Connection is closed|Reached the max retries|(?:READONLY|LOADING|MASTERDOWN|OOM) )/;

type Failure = Error & { code?: string; statusCode?: number; retryAfter?: number };

function isAway({ code, message }: Failure): boolean {
  return AWAY.test(code ?? '') || REFUSES.test(code ?? '') || AWAY_REDIS.test(message);
}

function statusOf(error: Failure): number {
  if (error instanceof InvalidUpdateError) return 400;
  // A server is unreachable or full. The caller may repeat the request with the same Idempotency-Key.
  if (error instanceof SluiceError) return STATUS[error.code] ?? (error.retryable ? 503 : 500);
  return error.statusCode ?? (isAway(error) ? 503 : 500);
}

function secondsOf(error: Failure): number {
  if (error instanceof BackpressureError) return Math.max(1, Math.ceil(error.retryAfterMs / 1000));
  return error.retryAfter ?? RETRY_AFTER;
}

export function answerError(error: Failure, request: FastifyRequest, reply: FastifyReply) {
  const status = statusOf(error);
  if (status >= 500) request.log.error({ err: error }, 'request failed');
  if (status === 503 || error.retryAfter !== undefined) reply.header('retry-after', secondsOf(error));
  const isOurs = error instanceof SluiceError || error instanceof HttpError;
  reply.status(status).send({
    code: isOurs || status < 500 ? (error.code ?? 'INTERNAL') : status === 503 ? 'UNAVAILABLE' : 'INTERNAL',
    // Internal errors belong in the log, since they may name hosts.
    message: status >= 500 ? 'The service cannot do this now.' : error.message,
    ...(error instanceof InsufficientPointsError ? { balance: error.balance } : {}),
  });
}
