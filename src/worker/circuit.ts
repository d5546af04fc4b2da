/**
 * What happens around a flush when it fails: an outage opens the circuit breaker, so that nothing is claimed while
 * MySQL is away; anything else backs off per partition.
 */
import {
  BrokenCircuitError,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  ExponentialBackoff,
  handleWhen,
} from 'cockatiel';
import type { Logger } from 'pino';
import { ClaimNotDurableError } from '../shared/errors.ts';
import { classifyDatabaseError, isLockWait, isLoginRefused } from '../shared/mysql/errors.ts';

export interface CircuitLimits {
  breakerFailures: number;
  breakerBaseMs: number;
  breakerCapMs: number;
}

export class Circuit {
  readonly #policy;
  readonly #waitMs: number;

  /** @param onChange called with what opened it */
  constructor(limits: CircuitLimits, onChange: (open: boolean, cause?: unknown) => void) {
    this.#policy = circuitBreaker(handleWhen(isAway), {
      halfOpenAfter: new ExponentialBackoff({
        initialDelay: limits.breakerBaseMs,
        maxDelay: limits.breakerCapMs,
      }),
      breaker: new ConsecutiveBreaker(limits.breakerFailures),
    });
    this.#policy.onBreak(reason => onChange(true, 'error' in reason ? reason.error : undefined));
    this.#policy.onReset(() => onChange(false));
    this.#waitMs = limits.breakerBaseMs;
  }

  /** Runs the flush, or throws BrokenCircuitError at once while MySQL is known to be away. */
  run<Result>(flush: () => Promise<Result>): Promise<Result> {
    return this.#policy.execute(flush);
  }

  /** MySQL is known to be back: nobody waits any longer. */
  close(): void {
    if (this.isOpen) this.#policy.isolate().dispose();
  }

  get isOpen(): boolean {
    return this.#policy.state === CircuitState.Open;
  }

  /** How long a job should wait before it tries again, ms; spread, so that replicas do not return together. */
  retryDelay(random: () => number): number {
    return Math.ceil(this.#waitMs * (0.5 + random()));
  }
}

/** Tells operators that it opened or closed. @param cause what opened it */
export function tellOfCircuit(log: Logger, open: boolean, cause?: unknown): void {
  if (!open) log.info('the database is back: flushing goes on');
  else if (isLoginRefused(cause))
    log.error(
      { err: cause },
      'the database refuses the login: flushing pauses, updates go on in Redis; is the password the right one?',
    );
  else log.warn({ err: cause }, 'the database is away: flushing pauses, updates go on and coalesce in Redis');
}

/** A password that was changed, too: nothing can be written until it is known here, and it may come by itself. */
function isAway(error: unknown): boolean {
  return classifyDatabaseError(error) === 'unavailable' || isLoginRefused(error);
}

/** Whether the error says that MySQL is away, rather than anything about this flush. */
export function isOutage(error: unknown): boolean {
  return error instanceof BrokenCircuitError || isAway(error);
}

/** Why a failed flush is tried again; all but `other` leave the job its attempts. */
export function retryClass(error: unknown): 'unavailable' | 'not_durable' | 'conflict' | 'other' {
  if (isOutage(error)) return 'unavailable';
  if (isLockWait(error)) return 'conflict';
  return error instanceof ClaimNotDurableError ? 'not_durable' : 'other';
}

/** Full jitter: anything from nothing to the doubled wait, up to the cap (Brooker, "Exponential Backoff And Jitter", 2015). */
export function backoff(attempt: number, baseMs: number, capMs: number, random: () => number): number {
  return Math.ceil(random() * Math.min(capMs, baseMs * 2 ** Math.min(attempt - 1, 30)));
}
