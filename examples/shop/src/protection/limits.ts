/**
 * Limits around a server that may be slow or away: at most so many calls at once, a time limit, and a pause after
 * failures.
 *
 * The pattern: bulkhead, timeout and circuit breaker, from cockatiel. When to use it: around every call that many
 * requests wait for. What it does not do: it does not end the statement in MySQL, only the wait for it.
 */
import {
  bulkhead,
  ConsecutiveBreaker,
  circuitBreaker,
  handleWhen,
  isBrokenCircuitError,
  isBulkheadRejectedError,
  isTaskCancelledError,
  TimeoutStrategy,
  timeout,
  wrap,
} from 'cockatiel';
import { HttpError } from '../errors.ts';
import type { Settings } from '../settings.ts';

const FAILURES = 3;
const PAUSE_MS = 1000;
const REFUSALS = [isBrokenCircuitError, isBulkheadRejectedError, isTaskCancelledError];

/** A call that a bulkhead behind the breaker refuses says nothing about the server: it was not asked. */
const isFailure = handleWhen(error => !isBulkheadRejectedError(error));

/** Fails calls at once for a pause after some failed in a row, then lets one through to try. */
export const pauseAfter = (failures: number, pauseMs = PAUSE_MS) =>
  circuitBreaker(isFailure, { halfOpenAfter: pauseMs, breaker: new ConsecutiveBreaker(failures) });

/**
 * @returns runs a load. It waits for its turn as long as it may take. Each kind of data has a pause of its own: a
 * statement that fails says nothing about others.
 */
export function limitLoads({ loads, waitingLoads, loadMs }: Settings['cache']) {
  const together = bulkhead(loads, waitingLoads);
  const create = () => wrap(pauseAfter(FAILURES), timeout(loadMs, TimeoutStrategy.Aggressive));
  const policies = new Map<string, ReturnType<typeof create>>();
  return async <T>(kind: string, load: () => Promise<T>): Promise<T> => {
    const policy = policies.get(kind) ?? create();
    policies.set(kind, policy);
    try {
      // The signal ends the wait only; a load that has begun has a limit of its own.
      return await together.execute(() => policy.execute(load), AbortSignal.timeout(loadMs));
    } catch (error) {
      if (!REFUSALS.some(isRefusal => isRefusal(error as Error))) throw error;
      throw new HttpError(503, 'DATABASE_BUSY', `The ${kind} could not be loaded now. Ask again later.`, 1);
    }
  };
}
