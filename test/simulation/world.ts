/**
 * Parts of a schedule: the two servers, the clock, randomness, and how an actor makes a request to a server.
 */
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import type { Bugs } from './bugs.ts';
import type { Checker } from './checker.ts';
import type { Mysql, Session } from './mysql.ts';
import type { Random } from './random.ts';
import type { RankBugs } from './ranks/bugs.ts';
import type { RedisData } from './redis.ts';

/** Tiny, so that a few dozen steps reach every limit; names ending in Ms are in ms. */
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
  idSlices: 4,
  idsPerBucket: 2,
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

/** Most updates of one schedule; the checker's arrays have this length. */
export const MOST_UPDATES = 64;

export interface World {
  now: number;
  readonly random: Random;
  /** Choices of operators who work on the quarantine, separate so that other schedules stay the same. */
  readonly choices: Random;
  readonly redis: {
    data: RedisData;
    /** What survives a loss of the tail; undefined if this schedule loses nothing. */
    replica: RedisData | undefined;
    /** A clock so fine that no two calls have the same time. */
    time: number;
    /** Number of the server process, which each loss increments. */
    run: number;
    /** Whether Redis is at its memory limit and refuses scripts that write. */
    full: boolean;
  };
  mysql: Mysql;
  /** Whether MySQL refuses bad entries, which operators switch on and off. */
  refusing: boolean;
  /** Whether operators replay and drop quarantined updates. */
  readonly amending: boolean;
  /** Least time that a value stays live after its last use, ms. */
  readonly liveTtlMs: number;
  /** Number of batches that the journal keeps. */
  readonly journalBatches: number;
  readonly bugs: Bugs;
  /** Whether a claim must be on the replica before its batch is committed. */
  readonly barrier: boolean;
  /** The name with a board; undefined in schedules without one. */
  readonly ranked: Ranked | undefined;
  readonly checker: Checker;
  /** Whether faults have ended and the rest must drain. */
  calm: boolean;
  /** Whether a backup was restored, so that operators look. */
  restored: boolean;
  tokens: number;
  /** Rewinds, as the metric counts them. */
  readonly counted: {
    rewinds: number;
    /** Rewinds of workers that were killed before they got the answer. */
    unheard: number;
  };
}

/** The only name with a board. */
export interface Ranked {
  readonly kind: 'c' | 'p';
  /** Its name, and a colon. */
  readonly prefix: string;
  readonly isMapped: boolean;
  /** When workers begin to build boards. */
  readonly from: number;
  /** Most keys of a page of a build. */
  readonly page: number;
  /** Most noted keys that are loaded at once. */
  readonly notes: number;
  /** Whether keys come that are new, as long as no board is ready. */
  readonly hasStream: boolean;
  /** Longest pause of others who write into a mapped table, ms. */
  readonly pauseMs: number;
  /** The parts of a walk: quarantine and table. */
  readonly order: readonly ('q' | 't')[];
  /** How often others have written an item in MySQL. */
  readonly written: Map<string, number>;
  /** Only for a bug: changes of scores that another script makes. */
  readonly apart: (() => void)[];
  readonly bugs: RankBugs;
}

export function token(world: World, prefix: string): string {
  return `${prefix}${++world.tokens}`;
}

/** A process and its connection to Redis. */
export interface Process {
  readonly name: string;
  disconnections: number;
  /** Grows with each restart. */
  life: number;
  /** Number of calls with updates so far. */
  calls: number;
  /** The last answer to a producer. */
  seen: { incarnation: string; updates: number };
}

/** A request to a server, which executes it atomically, or a wait. */
export interface Call {
  readonly to: 'redis' | 'mysql' | 'time';
  readonly name: string;
  readonly run: () => unknown;
  readonly session?: Session | undefined;
  readonly until?: number;
}

/** A part of an actor: it stops at every request, where the scheduler may do anything. */
// biome-ignore lint/suspicious/noExplicitAny: the result depends on the request
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

/** Constants, since a stack trace for each error would cost more than the schedule. */
export const LOST_REDIS = { code: 'REDIS_CONNECTION_LOST' } as const;
export const OUT_OF_MEMORY = { code: 'OOM' } as const;
export const LOST_MYSQL = { code: 'PROTOCOL_CONNECTION_LOST', fatal: true } as const;
export const DEADLOCK = { errno: 1213, code: 'ER_LOCK_DEADLOCK' } as const;
export const LOCK_WAIT = { errno: 1205, code: 'ER_LOCK_WAIT_TIMEOUT' } as const;
export const DUPLICATE = { errno: 1062, code: 'ER_DUP_ENTRY' } as const;
export const REFUSED = { errno: 1644, code: 'ER_SIGNAL_EXCEPTION' } as const;
