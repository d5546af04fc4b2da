/** Sluice's errors as HTTP answers: by their stable codes, never by their texts. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { BackpressureError, InsufficientPointsError, InvalidUpdateError, SluiceError } from 'sluice';

/** Those that are the caller's to solve. */
const STATUS: Record<string, number> = {
  INSUFFICIENT_POINTS: 409,
  OUT_OF_RANGE: 409,
  IDEMPOTENCY_KEY_REUSED: 422,
};

/** Seconds after which a caller may try again where Sluice does not say. */
const RETRY_AFTER = 1;

function statusOf(error: Error & { statusCode?: number }): number {
  if (error instanceof InvalidUpdateError) return 400;
  // A server is away or full for now. The same call, with the same Idempotency-Key, may be repeated.
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
    // What went wrong inside is for the log: it may name hosts.
    message: status >= 500 ? 'The service cannot do this now.' : error.message,
    ...(error instanceof InsufficientPointsError ? { balance: error.balance } : {}),
  });
}
