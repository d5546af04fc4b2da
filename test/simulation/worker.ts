/**
 * A worker process: flush jobs, the sweep, and claim -> commit -> ack, as in `Worker`, `Sweep` and `Flusher`.
 */
import { classifyDatabaseError, isLockWait } from '../../src/shared/mysql/errors.ts';
import { backoff } from '../../src/worker/circuit.ts';
import { align } from './database.ts';
import { openSession } from './mysql.ts';
import { copyRedis, type RedisData } from './redis.ts';
import { addJob, endJob, inspect, takeJob } from './shared-scripts.ts';
import { type CommitResult, commitBatch } from './store.ts';
import { ack, type Batch, type Before, claim, rotate, trim } from './worker-scripts.ts';
import {
  LOST_REDIS,
  limits,
  type Process,
  redis,
  type Steps,
  sleep,
  sql,
  token,
  type World,
} from './world.ts';

export function* work(world: World, me: Process): Steps<void> {
  const { random } = world;
  let sweepAt = world.now + limits.sweepIntervalMs * random.next();
  let alignAt = world.now + limits.alignIntervalMs;
  const trouble = { failures: 0, notBefore: 0 };
  yield* ignoringErrors(align(world, me));
  for (;;) {
    yield* ignoringErrors(takeAndFlush(world, me));
    if (world.now >= sweepAt && !world.bugs.lostWakeUp) {
      sweepAt = world.now + limits.sweepIntervalMs * (0.75 + random.next() / 2);
      yield* ignoringErrors(sweep(world, me, trouble));
      if (world.now >= alignAt) {
        alignAt = world.now + limits.alignIntervalMs;
        yield* ignoringErrors(tidy(world, me));
      }
    }
    yield* sleep(world, 2 + random.below(6));
  }
}

/** The real worker logs these errors and goes on. */
function* ignoringErrors(steps: Steps<unknown>): Steps<void> {
  try {
    yield* steps;
  } catch (error) {
    if (error instanceof Error) throw error;
  }
}

/** `Worker.#process`: one flush job. */
function* takeAndFlush(world: World, me: Process): Steps<void> {
  const job = yield* redis('take job', () => takeJob(world, me.name));
  if (!job) return;
  let retryIn: number | undefined;
  let usedUp = false;
  try {
    const end = yield* flush(world, me);
    if (end === 'more') yield* redis('add job', () => addJob(world, 0));
  } catch (error) {
    if (error instanceof Error) throw error;
    usedUp = classifyDatabaseError(error) !== 'unavailable';
    retryIn = usedUp
      ? backoff(job.attempts + 1, limits.backoffBaseMs, limits.backoffCapMs, () => world.random.next())
      : limits.backoffBaseMs;
  }
  yield* redis('end job', () => endJob(world, me.name, retryIn, usedUp));
}

/** `Flusher.#run`. */
function* flush(world: World, me: Process): Steps<'drained' | 'more'> {
  const deadline = world.now + limits.jobBudgetMs;
  for (;;) {
    if (!(yield* flushOne(world, me))) return 'drained';
    if (world.now >= deadline) return 'more';
  }
}

/** `Flusher.#step`: flushes one batch; returns whether another full batch is left. */
function* flushOne(world: World, me: Process): Steps<boolean> {
  const batch = yield* claimDurably(world, me);
  if (!batch) return false;
  if (world.bugs.ackBeforeCommit) {
    yield* redis('ack', () => ack(world, batch.token, 0, []));
    yield* commitPatiently(world, me, batch);
    return true;
  }
  const result = yield* commitPatiently(world, me, batch);
  if (result.decision === 'stop') return true;
  const { late, quarantined, quarantinedBefore } = result.outcome;
  const aside = quarantined + (world.bugs.leftOutUnseen ? 0 : quarantinedBefore);
  const acked = yield* redis('ack', () => ack(world, batch.token, aside, late));
  if (result.decision === 'skip' && result.rewound && acked.acknowledged) yield* align(world, me);
  return batch.reclaimed || batch.more
    ? acked.pendingItems > 0
    : acked.pendingItems >= Math.min(limits.batchKeys, limits.batchEntries) ||
        batch.counters.length >= limits.batchKeys ||
        batch.entries.length >= limits.batchEntries;
}

/** `claim`, then the claim barrier on the same connection; claims again if the barrier fails. */
function* claimDurably(world: World, me: Process): Steps<Batch | undefined> {
  for (let tries = 0; tries < 5; tries++) {
    let connection = 0;
    const batch = yield* world.bugs.clearBeforeClaim
      ? claimInTwo(world)
      : claimInPages(world, () => {
          connection = me.disconnections;
        });
    if (!batch || !world.barrier) return batch;
    const durable = yield* redis('wait for the replica', () => {
      if (world.bugs.barrierElsewhere) return true;
      if (me.disconnections !== connection || world.random.chance(0.1)) return false;
      if (world.redis.replica) world.redis.replica = copyRedis(world.redis.data);
      return true;
    });
    if (durable) return batch;
  }
  throw LOST_REDIS;
}

/** `Flight.claim`: page by page. */
function* claimInPages(world: World, onCall?: () => void): Steps<Batch | undefined> {
  for (let page: Before | undefined; ; ) {
    const newToken = token(world, 'b');
    const before = page;
    const reply: Before | Batch | undefined = yield* redis('claim', () => {
      onCall?.();
      return claim(world, newToken, before);
    });
    if (!reply || 'token' in reply) return reply;
    page = reply;
  }
}

/**
 * Only for the bug: reads and deletes pending updates first, then puts them in flight with a second script.
 */
function* claimInTwo(world: World): Steps<Batch | undefined> {
  const batch = yield* claimInPages(world);
  if (!batch || batch.reclaimed) return batch;
  const { data } = world.redis;
  const taken: Partial<RedisData> = {
    segmentCounters: data.segmentCounters,
    segmentAccounts: data.segmentAccounts,
    entries: data.entries,
  };
  Object.assign(data, { segmentCounters: new Map(), segmentAccounts: new Map(), entries: new Map() });
  yield* redis('claim, second half', () => Object.assign(world.redis.data, taken));
  return batch;
}

/** `Flusher.#commit`: retries a conflict at once, unless the lock may still be held. */
function* commitPatiently(world: World, me: Process, batch: Batch): Steps<CommitResult> {
  for (let attempt = 0; ; attempt++) {
    try {
      return yield* commitBatch(world, me, batch);
    } catch (error) {
      if (error instanceof Error) throw error;
      if (classifyDatabaseError(error) !== 'conflict' || isLockWait(error)) throw error;
      if (attempt >= limits.conflictRetries) throw error;
    }
  }
}

/** `Sweep.once`: flushes old updates without a job. */
function* sweep(world: World, me: Process, trouble: { failures: number; notBefore: number }): Steps<void> {
  const status = yield* redis('inspect', () => inspect(world));
  if (!status || status.lagMs <= limits.stuckAfterMs || trouble.notBefore > world.now) return;
  try {
    yield* flush(world, me);
    trouble.failures = 0;
  } catch (error) {
    if (error instanceof Error) throw error;
    if (classifyDatabaseError(error) === 'unavailable') return;
    const { backoffBaseMs, backoffCapMs } = limits;
    const wait = backoff(++trouble.failures, backoffBaseMs, backoffCapMs, () => world.random.next());
    trouble.notBefore = world.now + wait;
  }
}

/** `liveKeys`: the verifier's walk over all live values, in pages. */
function* walk(world: World, me: Process): Steps<void> {
  const rotation = () => redis('read state', () => world.redis.data.state?.rotated);
  const seen = new Set<string>();
  let before = yield* rotation();
  world.checker.onWalk(world, me);
  for (;;) {
    for (const hash of ['liveOld', 'liveYoung'] as const)
      for (let page = 0; page < limits.page; page++)
        yield* redis(`scan ${hash}`, () => {
          // Like HSCAN, it gives what stays in the hash during the whole scan.
          for (const field of world.redis.data[hash].keys())
            if (field.charCodeAt(field.length - 1) % limits.page === page) seen.add(field);
        });
    const after = yield* rotation();
    if (after === before || world.bugs.walkOnce) break;
    before = after;
  }
  world.checker.onWalked(me, seen);
}

/** Compares an idle partition with its watermark, forgets expired ids, and rotates live values. */
function* tidy(world: World, me: Process): Steps<void> {
  const status = yield* redis('inspect', () => inspect(world));
  if (status && status.token === '') {
    const session = openSession(world, me.name);
    const watermark = yield* sql(session, 'read watermark', () => world.mysql.watermark);
    if (watermark.sequence !== status.sequence || watermark.epoch !== status.epoch) yield* align(world, me);
  }
  // One step for both, since neither sees what the other changes: fewer steps find more.
  yield* redis('trim and rotate', () => {
    trim(world);
    rotate(world);
  });
  // Not in schedules with restores or ranks, which need their steps for the recovery or the build.
  const hasSteps = world.journalBatches === Number.POSITIVE_INFINITY && !world.ranked;
  if (hasSteps && world.choices.chance(0.1)) yield* walk(world, me);
}
