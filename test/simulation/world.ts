/** What one schedule is made of: the two servers, the clock, chance, and how an actor asks something of a server. */
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import type { Bugs } from './bugs.ts';
import type { Checker } from './checker.ts';
import type { Mysql, Session } from './mysql.ts';
import type { Random } from './random.ts';
import type { RedisData } from './redis.ts';

/** Tiny, so that every limit is met within a few dozen steps; ms where there is a unit. */
export const limits = {
  flushIntervalMs: 10,
  leaseMs: 40,
  stuckAfterMs: 60,
  sweepIntervalMs: 25,
  alignIntervalMs: 20,
  jobLockMs: 100,
  jobBudgetMs: 60,
  callTimeoutMs: 60,
  idempotencyWindowMs: 25,
  idempotencyLimit: 1000,
  lockWaitMs: 60,
  idleTransactionMs: 90,
  backoffBaseMs: 10,
  backoffCapMs: 50,
  attempts: 3,
  conflictRetries: 2,
  batchKeys: 2,
  batchEntries: 2,
  page: 2,
  recoveryPage: 1,
} as const;

export const definitions = parseDefinitions({ counters: { views: {} }, points: { loyalty: { floor: 0 } } });

/** The most updates of one schedule: checks are over arrays of this length. */
export const MOST_UPDATES = 64;

export interface World {
  now: number;
  readonly random: Random;
  /** What operators do with the quarantine: a stream of its own, so that other schedules stay as they are. */
  readonly choices: Random;
  readonly redis: {
    data: RedisData;
    /** What survives a loss of the tail; undefined in a schedule that loses nothing. */
    replica: RedisData | undefined;
    /** Of its clock, as fine as no two calls have the same. */
    time: number;
    /** The server process; another one after each loss. */
    run: number;
    /** Scripts that may not write over the memory limit are refused. */
    full: boolean;
  };
  mysql: Mysql;
  /** MySQL refuses bad entries; operators may mend that, and break it again. */
  refusing: boolean;
  /** Operators replay and drop what is in quarantine. */
  readonly amending: boolean;
  /** How long a value stays live after its last use, ms. */
  readonly liveTtlMs: number;
  /** Batches that the journal remembers. */
  readonly journalBatches: number;
  readonly bugs: Bugs;
  /** Whether a claim must be on the replica before its batch is committed. */
  readonly barrier: boolean;
  readonly checker: Checker;
  /** Faults have ended: what is left must drain. */
  calm: boolean;
  /** A backup was restored: operators look. */
  restored: boolean;
  tokens: number;
  /** Rewinds as the metric has them. */
  readonly counted: {
    rewinds: number;
    /** Of workers that were killed before they heard of theirs. */
    unheard: number;
  };
}

export function token(world: World, prefix: string): string {
  return `${prefix}${++world.tokens}`;
}

/** A process' connection to Redis; another number after each loss. */
export interface Process {
  readonly name: string;
  disconnections: number;
  /** Grows each time it is killed and started anew. */
  life: number;
  /** Of updates, made so far. */
  calls: number;
  /** What a producer was answered last. */
  seen: { incarnation: string; updates: number };
}

/** One request to a server, executed there in one piece; or a wait. */
export interface Call {
  readonly to: 'redis' | 'mysql' | 'time';
  readonly name: string;
  readonly run: () => unknown;
  readonly session?: Session | undefined;
  readonly until?: number;
}

/** A part of an actor: it stops at every request, where the scheduler may do anything. */
// biome-ignore lint/suspicious/noExplicitAny: what comes back depends on what was asked
export type Steps<Result> = Generator<Call, Result, any>;

export function* redis<Result>(name: string, run: () => Result): Steps<Result> {
  return yield { to: 'redis', name, run };
}

export function* sql<Result>(session: Session, name: string, run: () => Result): Steps<Result> {
  return yield { to: 'mysql', name, run, session };
}

export function* sleep(world: World, ms: number): Steps<void> {
  yield { to: 'time', name: 'wait', run: nothing, until: world.now + ms };
}

function nothing() {}

/** Errors are constants: a stack trace for each would cost more than the schedule. */
export const LOST_REDIS = { code: 'REDIS_CONNECTION_LOST' } as const;
export const OUT_OF_MEMORY = { code: 'OOM' } as const;
export const LOST_MYSQL = { code: 'PROTOCOL_CONNECTION_LOST', fatal: true } as const;
export const DEADLOCK = { errno: 1213, code: 'ER_LOCK_DEADLOCK' } as const;
export const LOCK_WAIT = { errno: 1205, code: 'ER_LOCK_WAIT_TIMEOUT' } as const;
export const DUPLICATE = { errno: 1062, code: 'ER_DUP_ENTRY' } as const;
export const REFUSED = { errno: 1644, code: 'ER_SIGNAL_EXCEPTION' } as const;
