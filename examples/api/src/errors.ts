/** Sluice's errors as HTTP answers, by their stable codes and never by their texts. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { BackpressureError, InsufficientPointsError, InvalidUpdateError, SluiceError } from 'sluice';

/** Errors that the caller can solve. */
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

function statusOf(error: Error & { statusCode?: number }): number {
  if (error instanceof InvalidUpdateError) return 400;
  // A server is unreachable or full. The caller may repeat the request with the same Idempotency-Key.
  if (error instanceof SluiceError) return STATUS[error.code] ?? (error.retryable ? 503 : 500);
  return error.statusCode ?? 500;
}

export function answerError(error: Error & { code?: string }, request: FastifyRequest, reply: FastifyReply) {
  const status = statusOf(error);
  if (status >= 500) request.log.error({ err: error }, 'request failed');
  if (status === 503) {
    const seconds = error instanceof BackpressureError ? Math.ceil(error.retryAfterMs / 1000) : RETRY_AFTER;
    reply.header('retry-after', Math.max(1, seconds));
  }
  reply.status(status).send({
    code: error.code ?? 'INTERNAL',
    // Internal errors belong in the log, since they may name hosts.
    message: status >= 500 ? 'The service cannot do this now.' : error.message,
    ...(error instanceof InsufficientPointsError ? { balance: error.balance } : {}),
  });
}
