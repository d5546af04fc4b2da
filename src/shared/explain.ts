/** Turns whatever a server's client threw into one of our errors, where the caller does not know which server it was. */
import { SluiceError } from './errors.ts';
import { databaseError } from './mysql/errors.ts';
import { redisError, replyCode } from './redis/errors.ts';

/** Names of the errors by which ioredis says that it could not get a command to a server. */
const UNSENT = new Set([
  'ClusterAllFailedError',
  'MaxRetriesPerRequestError',
  'AbortError',
  'InterruptError',
]);

/** Errors that are neither server's come back as they are. */
export function explain(error: unknown, redisAddress: string, databaseAddress: string): unknown {
  if (error instanceof SluiceError) return error;
  const fromRedis = replyCode(error) !== undefined || UNSENT.has((error as Error | undefined)?.name ?? '');
  return fromRedis ? redisError(error, redisAddress) : databaseError(error, databaseAddress);
}
