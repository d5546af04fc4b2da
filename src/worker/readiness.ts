/**
 * Judges whether a worker is ready. It asks both servers: a connection may look usable without its server.
 */
import type { Clock } from '../shared/clock.ts';
import type { Settings } from '../shared/config/settings.ts';
import type { SluiceError } from '../shared/errors.ts';
import type { Database } from '../shared/mysql/database.ts';
import { Question } from '../shared/question.ts';
import type { Inspector, PartitionStatus } from '../shared/redis/inspect.ts';
import type { Flusher } from './flush.ts';

export interface Readiness {
  ready: boolean;
  redis: 'connected' | 'disconnected';
  database: 'connected' | 'disconnected';
  /** Whether flushes make progress while updates are pending. */
  flushing: 'starting' | 'idle' | 'progressing' | 'stalled' | 'stopping';
  lagSeconds: number;
  /** Why the worker has not started yet, if it is waiting. */
  reason?: string;
}

export interface ReadinessParts {
  readonly inspector: Inspector;
  readonly database: Database;
  readonly flusher: Flusher;
  readonly clock: Clock;
  readonly settings: Settings;
}

const ANSWER_MS = 1500;

/** The answer of a worker that is still connecting. */
export function notStarted(error?: SluiceError): Readiness {
  const reason = error && { reason: `${error.code}: ${error.message}` };
  const away = { redis: 'disconnected', database: 'disconnected' } as const;
  return { ready: false, ...away, flushing: 'starting', lagSeconds: 0, ...reason };
}

/** @returns a function that answers in bounded time and never rejects */
export function readinessJudge(parts: ReadinessParts): (isStopping: boolean) => Promise<Readiness> {
  const partitions = new Question(() => parts.inspector.all());
  const database = new Question(() => parts.database.query('SELECT 1'));
  return async isStopping =>
    judge(
      parts,
      isStopping,
      ...(await Promise.all([partitions.answer(ANSWER_MS), database.answer(ANSWER_MS)])),
    );
}

function judge(
  parts: ReadinessParts,
  isStopping: boolean,
  partitions: readonly PartitionStatus[] | undefined,
  answer: unknown,
): Readiness {
  const lagSeconds = Math.max(0, ...(partitions ?? []).map(status => status.lagSeconds));
  const stalledMs = Math.max(10_000, parts.settings.stuckAfterMs * 4);
  const quiet = parts.clock.now() - parts.flusher.lastProgress > stalledMs;
  const waiting = lagSeconds * 1000 > stalledMs;
  const flushing = isStopping
    ? 'stopping'
    : waiting && quiet
      ? 'stalled'
      : lagSeconds > 0
        ? 'progressing'
        : 'idle';
  const redis = partitions ? 'connected' : 'disconnected';
  const database = answer ? 'connected' : 'disconnected';
  const ready =
    redis === 'connected' && database === 'connected' && (flushing === 'idle' || flushing === 'progressing');
  return { ready, redis, database, flushing, lagSeconds };
}
