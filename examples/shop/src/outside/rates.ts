/**
 * An API of somebody else, which may be slow, away or wrong: here exchange rates.
 *
 * The pattern: four things around every call. The cache makes one call of many equal ones, over all processes, and has
 * an old answer if the call fails. A timeout ends the call. A circuit breaker asks no more for a while after failures
 * in a row. A bulkhead lets only a few calls wait at once, so that the rest of this process goes on. Use them for every
 * call that leaves the house.
 *
 * What it does not do: it repeats no call within a request; the next request does. Each process has a breaker of its
 * own. A call that changes something needs an idempotency key besides.
 */
import { bulkhead, TimeoutStrategy, timeout, wrap } from 'cockatiel';
import { pauseAfter } from '../protection/limits.ts';
import type { Settings } from '../settings.ts';

export interface Rate {
  /** How much of the currency a euro buys. */
  readonly rate: number;
  /** When the outside API said so. */
  readonly at: string;
}

/** Fewer than the cache loads at once: calls that hang must not keep loads from MySQL waiting. */
const CALLS_AT_ONCE = 4;
/** After so many in a row nothing is asked for a while; then one call finds out. */
const FAILURES = 3;

export function outsideRates({ outsideUrl, outsideTimeoutMs, outsidePauseMs }: Settings) {
  const policy = wrap(
    bulkhead(CALLS_AT_ONCE),
    pauseAfter(FAILURES, outsidePauseMs),
    timeout(outsideTimeoutMs, TimeoutStrategy.Aggressive),
  );

  /** @returns `null`: there is no such currency, which is no failure */
  async function ask(currency: string, signal: AbortSignal): Promise<Rate | null> {
    const response = await fetch(`${outsideUrl}/rates/${currency}`, { signal });
    if (response.status === 404) return null;
    const { rate } = (await response.json()) as { rate?: unknown };
    // What others send is checked like any input.
    if (!response.ok || typeof rate !== 'number' || !(rate > 0))
      throw new Error(`The API of rates answered ${response.status} with rate ${rate}.`);
    return { rate, at: new Date().toISOString() };
  }

  return (currency: string) => policy.execute(({ signal }) => ask(currency, signal));
}
