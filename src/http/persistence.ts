/** Whether updates are in MySQL yet: the header `Prefer: wait=SECONDS` (RFC 7240), and receipts. */
import type { PersistedOptions } from '../producer/receipt.ts';
import { WAIT_LIMIT_S } from './schemas.ts';
import type { State } from './shown-result.ts';

/** Anything that `persisted()` can be asked of. */
export interface Waitable {
  persisted(options?: PersistedOptions): Promise<void>;
}

/** Ms, at most the limit; undefined if the client did not ask to wait. An unknown preference is ignored. */
export function readWait(header: string | string[] | undefined): number | undefined {
  if (header === undefined) return undefined;
  const [, seconds] = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,6})"?\s*(?=[,;]|$)/i.exec(String(header)) ?? [];
  return seconds === undefined ? undefined : Math.min(Number(seconds), WAIT_LIMIT_S) * 1000;
}

const STATES: Readonly<Record<string, State>> = {
  PERSIST_TIMEOUT: 'accepted',
  QUARANTINED: 'quarantined',
  PERSISTENCE_UNKNOWN: 'unknown',
  // Only of holds and their ends: another one was first.
  HOLD_ENDED: 'superseded',
  IDEMPOTENCY_KEY_REUSED: 'superseded',
};

/** @throws errors of the servers, and if the producer closes */
export async function stateOf(update: Waitable, waitMs: number): Promise<State> {
  try {
    // At least one look at where the partition is.
    await update.persisted({ timeoutMs: Math.max(waitMs, LOOK_MS) });
    return 'persisted';
  } catch (error) {
    const state = STATES[(error as { code?: string }).code ?? ''];
    if (state) return state;
    throw error;
  }
}

/**
 * The state of an update that this request has just applied. An error would tell the client that nothing was
 * applied, and a repetition without an id would count twice; so what cannot be asked now is `accepted`.
 */
export function stateOfApplied(update: Waitable, waitMs: number): Promise<State> {
  return stateOf(update, waitMs).catch(() => 'accepted');
}

const LOOK_MS = 100;
