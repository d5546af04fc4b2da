/** Turns an error of a server's client into a Sluice error when it is not known which server failed. */
import { SluiceError } from './errors.ts';
import { databaseError } from './mysql/errors.ts';
import { redisError, replyCode } from './redis/errors.ts';

/** Names of the errors that ioredis raises if it could not send a command. */
const UNSENT = new Set([
  'ClusterAllFailedError',
  'MaxRetriesPerRequestError',
  'AbortError',
  'InterruptError',
]);

/** Returns errors of neither server unchanged. */
export function explain(error: unknown, redisAddress: string, databaseAddress: string): unknown {
  if (error instanceof SluiceError) return error;
  const fromRedis = replyCode(error) !== undefined || UNSENT.has((error as Error | undefined)?.name ?? '');
  return fromRedis ? redisError(error, redisAddress) : databaseError(error, databaseAddress);
}
