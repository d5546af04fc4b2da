/** Exit codes, and how an error ends a command: one line on stderr with its stable code. */
import { failureRemedy } from '../shared/connection-failure.ts';
import { SluiceError } from '../shared/errors.ts';

export const EXIT = {
  /** Done. */
  ok: 0,
  /** The command found something wrong: drift, a rejected line under --strict, a drain that timed out. */
  found: 1,
  /** Wrong usage or configuration; also wrong credentials or a missing schema. */
  usage: 2,
  /** A server cannot be reached. */
  unreachable: 3,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

const UNREACHABLE = new Set([
  'REDIS_UNAVAILABLE',
  'DATABASE_UNAVAILABLE',
  'REDIS_OUT_OF_MEMORY',
  'PRODUCER_OVERLOADED',
  'TOO_FEW_REPLICAS',
  'UNKNOWN_OUTCOME',
  'BACKFILL_STALLED',
]);

/** Codes of problems with the data rather than with the call. */
const FOUND = new Set([
  'DATABASE_WENT_BACK',
  'REDIS_BACKUP_RESTORED',
  'READ_UNSETTLED',
  'OUT_OF_RANGE',
  'RANKS_BUILDING',
  'BACKFILL_RUNNING',
  'BACKFILL_TAKEN_OVER',
  'BACKFILL_UNUSABLE_ROWS',
  'BACKFILL_UNPROVEN',
  'BACKFILL_REFUSED',
]);

export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof SluiceError ? exitCodeFor(error.code) : EXIT.found;
}

export function exitCodeFor(code: string): ExitCode {
  if (UNREACHABLE.has(code)) return EXIT.unreachable;
  return FOUND.has(code) ? EXIT.found : EXIT.usage;
}

/** Prints `sluice: CODE: message`; with `debug` also the stacks. */
export function reportError(error: unknown, debug: boolean): void {
  const code = error instanceof SluiceError ? error.code : 'UNEXPECTED';
  const message = error instanceof Error ? error.message : String(error);
  // Our own messages already contain the remedy.
  const remedy = error instanceof SluiceError ? undefined : failureRemedy(error);
  console.error(`sluice: ${code}: ${message}${remedy ? `; ${remedy}` : ''}`);
  if (!debug) return;
  // Stacks only: the other properties of a client's error hold its command, which may be AUTH with the
  // password.
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) console.error(cause.stack);
}
