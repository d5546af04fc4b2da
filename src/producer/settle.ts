/**
 * Sends updates until each is settled: accepted, a duplicate, or rejected. While a server is away, it retries
 * for a bounded time. Any other error that all lines would meet ends the ingest.
 */

import { pause } from '../shared/clock.ts';
import type { Update } from '../shared/updates/update.ts';
import type { ApplyResult } from './callers.ts';
import type { Sluice } from './client.ts';
import type { CallOptions } from './handle.ts';

/** A line that is on its way. */
export interface Sent {
  readonly line: number;
  readonly update: Update;
}

type Accepted = Extract<ApplyResult, { ok: true }>;
type Failure = Extract<ApplyResult, { ok: false }>['error'];

/** Why sending ended before every line was settled. */
export interface Stuck {
  readonly error: Failure;
  /** The first line that is not settled. */
  readonly line: number;
  readonly others: number;
}

export interface SettleListener {
  accepted(line: number, result: Accepted): void;
  rejected(line: number, error: Failure): void;
}

export interface SettleOptions extends CallOptions {
  /** How long to retry while a server is away. */
  readonly patienceMs: number;
  /** Done once the lines before these are settled, if they were sent without waiting for that. */
  readonly before?: Promise<unknown>;
  /** Accounts and values with updates that had to be retried; the lines that were sent meanwhile share it. */
  readonly retried?: Set<string>;
}

/** Codes about the line itself; the next line may succeed. */
const REJECTIONS: ReadonlySet<string> = new Set([
  'INVALID_UPDATE',
  'INVALID_AMOUNT',
  'INVALID_KEY',
  'INVALID_ACCOUNT',
  'INVALID_ID',
  'MISSING_ID',
  'INVALID_REASON',
  'INVALID_METADATA',
  'UNKNOWN_COUNTER',
  'UNKNOWN_PROGRAM',
  'UNKNOWN_VALUE',
  'INSUFFICIENT_POINTS',
  'OUT_OF_RANGE',
  'IDEMPOTENCY_KEY_REUSED',
  'INVALID_EXPIRY',
  'UNKNOWN_HOLD',
  'HOLD_ENDED',
  'HOLD_EXCEEDED',
]);
/** Refusals that updates of earlier lines may end: credits that give the points, or the hold itself. */
const EARLY: ReadonlySet<string> = new Set(['INSUFFICIENT_POINTS', 'UNKNOWN_HOLD']);

const FIRST_WAIT_MS = 50;

/** Undefined once every line is settled. */
export async function settle(
  sluice: Pick<Sluice, 'apply'>,
  part: readonly Sent[],
  { patienceMs, before, retried = new Set(), ...call }: SettleOptions,
  listener: SettleListener,
): Promise<Stuck | undefined> {
  const end = performance.now() + patienceMs;
  let open = part;
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(2000, wait * 2)) {
    const results = await sluice.apply(
      open.map(sent => sent.update),
      call,
    );
    await before;
    // What is early at the first attempt is not early any more once the lines before it are settled.
    const { again, fatal } = sort(open, results, listener, wait === FIRST_WAIT_MS ? retried : new Set());
    for (const { sent } of again) {
      const target = targetOf(sent.update);
      if (target !== undefined) retried.add(target);
    }
    if (again.length === 0) return undefined;
    const error = fatal ?? (performance.now() >= end ? again.find(one => one.error)?.error : undefined);
    if (error) return { error, line: again[0]!.sent.line, others: again.length - 1 };
    open = again.map(({ sent }) => sent);
    await pause(wait * (0.5 + Math.random()));
  }
}

interface Open {
  readonly sent: Sent;
  /** Undefined for a put that was accepted, and must be put again behind an earlier line. */
  readonly error?: Failure;
}

/** @param retried accounts and values with updates on lines above these that were retried */
function sort(
  open: readonly Sent[],
  results: readonly ApplyResult[],
  listener: SettleListener,
  retried: ReadonlySet<string>,
) {
  const again: Open[] = [];
  const waiting = new Set<string>(retried);
  let fatal: Failure | undefined;
  for (const [at, sent] of open.entries()) {
    const result = results[at]!;
    const target = targetOf(sent.update);
    const isBehind = target !== undefined && waiting.has(target);
    if (result.ok) {
      // The put of a line above, which is retried, would replace this one.
      if (isBehind && 'value' in sent.update) again.push({ sent });
      else listener.accepted(sent.line, result);
      continue;
    }
    const { error } = result;
    // A debit is retried until the credits on the lines above it have arrived, a post until its hold has.
    const early = EARLY.has(error.code) && isBehind;
    if (REJECTIONS.has(error.code) && !early) {
      listener.rejected(sent.line, error);
      continue;
    }
    again.push({ sent, error });
    if (target !== undefined) waiting.add(target);
    if (!early && !mayRepeat(sent, error)) fatal ??= error;
  }
  return { again, fatal };
}

/**
 * The account or value whose updates must stay in order. Undefined for a counter, and if a name is no string: a rejected
 * line may hold anything there.
 */
function targetOf(update: Update): string | undefined {
  if ('value' in update) return `${update.value} ${JSON.stringify(update.key)}`;
  if (!('points' in update)) return undefined;
  const { points } = update;
  const account = 'from' in update ? update.from : 'account' in update ? update.account : undefined;
  return typeof points === 'string' && typeof account === 'string' ? `${points}:${account}` : undefined;
}

/** If the outcome is unknown, a counter's update without an id might count twice. */
function mayRepeat({ update }: Sent, { code, retryable }: Failure): boolean {
  return retryable && (code !== 'UNKNOWN_OUTCOME' || !('counter' in update) || update.id !== undefined);
}
