/** How a process of a small model asks servers: a generator that yields one step at a time. */

/** What a schedule finds wrong. */
export class Wrong extends Error {}

/** A server did not answer, or refuses now. What was asked may have happened. */
export const OUTAGE = Symbol('outage');

/** A process waits here until it may go on, and asks a server. */
export interface Step {
  readonly name: string;
  readonly run: () => unknown;
  readonly until?: () => boolean;
  /** A script: a copy of the call may arrive late. */
  readonly isScript?: boolean;
  readonly isCommit?: boolean;
  /** No server is asked, so the next step follows at once. */
  readonly isWait?: boolean;
}

// biome-ignore lint/suspicious/noExplicitAny: each step is answered by another type
export type Steps<Result> = Generator<Step, Result, any>;

export function* ask<Answer>(name: string, run: () => Answer): Steps<Answer> {
  return yield { name, run };
}

export function* script<Answer>(name: string, run: () => Answer): Steps<Answer> {
  return yield { name, run, isScript: true };
}

export function* wait(name: string, until: () => boolean): Steps<void> {
  yield { name, until, run: () => {}, isWait: true };
}
