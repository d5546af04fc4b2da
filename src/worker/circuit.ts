/**
 * Reacts to failed flushes: an outage opens the circuit breaker, so that no batch is claimed while MySQL is
 * away; for other errors, the partition backs off.
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

  /** @param onChange called when it opens, with the cause, and when it closes */
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

  /** Closes the breaker at once: MySQL is known to be back. */
  close(): void {
    if (this.isOpen) this.#policy.isolate().dispose();
  }

  get isOpen(): boolean {
    return this.#policy.state === CircuitState.Open;
  }

  /** Delay before a retry, ms; with jitter, so that workers do not return together. */
  retryDelay(random: () => number): number {
    return Math.ceil(this.#waitMs * (0.5 + random()));
  }
}

/** @param cause what opened it */
export function logCircuit(log: Logger, open: boolean, cause?: unknown): void {
  if (!open) log.info('the database is back: flushing resumes');
  else if (isLoginRefused(cause))
    log.error(
      { err: cause },
      'the database refuses the login: flushing pauses, Redis still takes updates; check the password',
    );
  else log.warn({ err: cause }, 'the database is away: flushing pauses, Redis still takes updates');
}

/** Includes a changed password: this process cannot write without it, and may get it without a restart. */
function isAway(error: unknown): boolean {
  return classifyDatabaseError(error) === 'unavailable' || isLoginRefused(error);
}

/** Whether the error means that MySQL is away, and is not about this flush. */
export function isOutage(error: unknown): boolean {
  return error instanceof BrokenCircuitError || isAway(error);
}

/** Why a failed flush is retried; only `other` counts as an attempt of the job. */
export function retryClass(error: unknown): 'unavailable' | 'not_durable' | 'conflict' | 'other' {
  if (isOutage(error)) return 'unavailable';
  if (isLockWait(error)) return 'conflict';
  return error instanceof ClaimNotDurableError ? 'not_durable' : 'other';
}

/** Delay with full jitter, ms (Brooker, "Exponential Backoff And Jitter", 2015). */
export function backoff(attempt: number, baseMs: number, capMs: number, random: () => number): number {
  return Math.ceil(random() * Math.min(capMs, baseMs * 2 ** Math.min(attempt - 1, 30)));
}
