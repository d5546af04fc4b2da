/** Whether a worker is ready: judged by what works now, not by what a connection believes of itself. */
import { type Clock, within } from '../shared/clock.ts';
import type { SluiceError } from '../shared/errors.ts';
import type { Inspector } from '../shared/inspect.ts';
import type { Database } from '../shared/mysql.ts';
import type { Settings } from '../shared/settings.ts';
import type { Flusher } from './flush.ts';
import type { Readiness } from './http.ts';

export interface ReadinessParts {
  readonly inspector: Inspector;
  readonly database: Database;
  readonly flusher: Flusher;
  readonly clock: Clock;
  readonly settings: Settings;
  readonly stopping: boolean;
}

const ANSWER_MS = 1500;

/** The answer of a worker that is still connecting. */
export function notStarted(error?: SluiceError): Readiness {
  const reason = error && { reason: `${error.code}: ${error.message}` };
  const away = { redis: 'disconnected', database: 'disconnected' } as const;
  return { ready: false, ...away, flushing: 'starting', lagSeconds: 0, ...reason };
}

/** Never rejects, and answers in bounded time. */
export async function judge(parts: ReadinessParts): Promise<Readiness> {
  const [partitions, answer] = await Promise.all([
    within(parts.inspector.all(), ANSWER_MS),
    within(parts.database.query('SELECT 1'), ANSWER_MS),
  ]);
  const lagSeconds = Math.max(0, ...(partitions ?? []).map(status => status.lagSeconds));
  const stalledMs = Math.max(10_000, parts.settings.stuckAfterMs * 4);
  const quiet = parts.clock.now() - parts.flusher.lastProgress > stalledMs;
  const waiting = lagSeconds * 1000 > stalledMs;
  const flushing = parts.stopping
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
