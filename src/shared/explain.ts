/** Turns whatever a server's client threw into one of our errors, where the caller does not know which server it was. */
import { SluiceError } from './errors.ts';
import { databaseError } from './mysql.ts';
import { redisError, replyCode } from './redis.ts';

/** Errors that are neither server's come back as they are. */
export function explain(error: unknown, redisPlace: string, databasePlace: string): unknown {
  if (error instanceof SluiceError) return error;
  return replyCode(error) ? redisError(error, redisPlace) : databaseError(error, databasePlace);
}
