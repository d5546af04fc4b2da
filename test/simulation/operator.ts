/** An operator after a restore: `Recovery` and `Evidences` as steps, with the real verdicts and figures. */
import {
  committedCount,
  type Damage,
  goneWith,
  type OldCounters,
  type RedisSide,
  type Verdict,
  verdictStepwise,
} from '../../src/recovery/evidence.ts';
import { before, causeOf, withRoom } from '../../src/recovery/recover.ts';
import type { Watermark } from '../../src/shared/partition/watermark.ts';
import { locked, oldestOf, transaction } from './database.ts';
import { declareLoss, type Session, use } from './mysql.ts';
import { type RecoverMove, recover } from './recover-script.ts';
import { addJob } from './shared-scripts.ts';
import { limits, type Process, redis, type Steps, sleep, sql, token, type World } from './world.ts';

const ATTEMPTS = 10;
const NEVER = -1;

interface Found {
  readonly verdict: Verdict;
  readonly redis: RedisSide;
  readonly watermark: Watermark;
  readonly cutoff: number;
  /** Undefined if there is nothing to do. */
  readonly damage: Damage | undefined;
  readonly oldKeys: number;
  readonly ids: number;
}

class Contested {
  readonly code = 'CONTESTED';
}
const CONTESTED = new Contested();

export function* operate(world: World, me: Process): Steps<void> {
  for (;;) {
    yield* sleep(world, 10 + world.random.below(world.calm ? 30 : 100));
    if (!world.restored) continue;
    const counters = world.random.pick<OldCounters | undefined>([undefined, 'discard', 'apply']);
    try {
      const done = yield* recoverPartition(world, me, counters);
      if (done) yield* redis('add job', () => addJob(world, 0));
    } catch (error) {
      if (error instanceof Error) throw error;
    }
  }
}

/** `Recovery.recover`: returns whether it had something to do and did it. */
function* recoverPartition(world: World, me: Process, counters: OldCounters | undefined): Steps<boolean> {
  let last: Declared | undefined;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const declared = yield* declare(world, me, counters, last);
    if (!declared) return false;
    last = declared;
    try {
      yield* lighten(world, me, counters, declared);
      yield* carryOut(world, me, counters, declared);
      return true;
    } catch (error) {
      if (error !== CONTESTED) throw error;
    }
  }
  return false;
}

type Declared = Found & { readonly damage: Damage; readonly operation: number };

function* declare(
  world: World,
  me: Process,
  counters: OldCounters | undefined,
  last: Declared | undefined,
): Steps<Declared | undefined> {
  return yield* transaction(world, me, function* (session) {
    const found = yield* lookAt(world, session, counters);
    if (!found.damage) return undefined;
    const updates = withRoom(found.damage.updates, last?.damage.updates);
    const damage = { ...found.damage, updates };
    const choice = found.verdict === 'DATABASE_WENT_BACK' ? undefined : (counters ?? 'discard');
    const filter = [found.verdict, found.watermark.sequence, choice].join(' ');
    const operation = yield* sql(session, 'declare', () => {
      const draft = use(world, session);
      const known = [...world.mysql.operations.values()].findLast(
        row => !row.finished && row.filter === filter,
      );
      const id = known?.id ?? ++world.tokens;
      draft.operation ??= { id, filter, finished: false };
      if (!world.bugs.recoveryUndeclared)
        declareLoss(world, session, damage.kind, causeOf(id), damage.updates);
      return id;
    });
    return { ...found, damage, operation };
  });
}

function* lighten(
  world: World,
  me: Process,
  counters: OldCounters | undefined,
  { verdict, redis: seen, watermark, cutoff, oldKeys, ids, damage }: Declared,
): Steps<void> {
  const forgets = verdict === 'DATABASE_WENT_BACK';
  if (!forgets && counters === 'apply') return;
  const action = forgets ? 'forget' : 'discard';
  const most = limits.recoveryPage;
  const call = { action, cutoff, most, seen, declared: damage.updates } as const;
  for (let left = forgets ? ids : oldKeys; left > most; left -= most) {
    yield* transaction(world, me, function* (session) {
      const { sequence } = yield* locked(world, session, 'update');
      if (sequence !== watermark.sequence) throw CONTESTED;
      const reply = yield* redis(action, () => recover(world, call));
      if (!reply?.matches) throw CONTESTED;
    });
  }
}

function* carryOut(
  world: World,
  me: Process,
  counters: OldCounters | undefined,
  declared: Declared,
): Steps<void> {
  yield* transaction(world, me, function* (session) {
    const { verdict, redis: seen, watermark, cutoff, damage } = yield* lookAt(world, session, counters);
    if (verdict !== declared.verdict || !damage) throw CONTESTED;
    const isOldDatabase = verdict === 'DATABASE_WENT_BACK';
    const move = moveOf(world, isOldDatabase, seen, watermark, counters ?? 'discard');
    const most = limits.recoveryPage;
    const { updates } = declared.damage;
    const call = { action: 'move', cutoff, most, seen, move, declared: updates } as const;
    const reply = yield* redis('move', () => recover(world, call));
    if (!reply?.matches) throw CONTESTED;
    yield* sql(session, 'move watermark', () => {
      const draft = use(world, session);
      const target = isOldDatabase
        ? { sequence: world.bugs.watermarkAhead ? seen.sequence : before(seen), token: '' }
        : watermark;
      const { sequence, token } = target;
      draft.watermark = { sequence, token, epoch: move.epoch, updates: committedCount(reply.side) };
      const { operation: id } = declared;
      if (!world.bugs.recoveryUndeclared)
        declareLoss(world, session, damage.kind, causeOf(id), damage.updates);
      draft.operation = { ...world.mysql.operations.get(id)!, finished: true };
    });
  });
}

function moveOf(
  world: World,
  isOldDatabase: boolean,
  seen: RedisSide,
  watermark: Watermark,
  counters: OldCounters,
): RecoverMove {
  const epoch = world.bugs.oldEpoch ? seen.epoch : token(world, 'e');
  const { sequence } = seen;
  if (isOldDatabase) return { epoch, sequence, token: seen.token, discards: false, forgetsIds: true };
  const isInFlight = seen.token !== '';
  const discards = counters === 'discard';
  return {
    epoch,
    sequence: watermark.sequence + (isInFlight ? 1 : 0),
    token: isInFlight && discards ? token(world, 'b') : seen.token,
    discards,
    forgetsIds: false,
  };
}

/** `Evidences.look`, under the watermark's lock. Throws if the partition has no state. */
function* lookAt(world: World, session: Session, counters: OldCounters | undefined): Steps<Found> {
  const watermark = yield* locked(world, session, 'update');
  const { cutoff, oldest } = yield* sql(session, 'evidence', () => {
    const { journal, updatedAt } = world.mysql;
    const last = [...journal.values()].find(({ sequence }) => sequence === watermark.sequence);
    return { cutoff: last?.committedAt ?? updatedAt, oldest: oldestOf(world, session) };
  });
  for (;;) {
    const most = limits.recoveryPage;
    const first = yield* redis('look', () =>
      recover(world, { action: 'look', cutoff: NEVER, most, from: 0 }),
    );
    if (!first) throw CONTESTED;
    const { side, ids } = first;
    const database = { ...watermark, journal: oldest > 0 ? { oldest } : null };
    const verdict = yield* judge(world, session, side, database);
    const found = { verdict, redis: side, watermark, cutoff, ids, oldKeys: 0, damage: undefined };
    if (verdict === 'DATABASE_WENT_BACK') {
      const updates = watermark.updates || (watermark.sequence === 0 ? 0 : null);
      return { ...found, damage: goneWith(side, { updates }) };
    }
    const isBackup = verdict === 'REDIS_BACKUP_RESTORED';
    if (!isBackup && !(verdict === 'REDIS_BEHIND' && counters)) return found;
    const weight = yield* weigh(world, side, cutoff);
    if (!weight) continue;
    const kind = counters === 'apply' ? 'doubled' : 'lost';
    const damage: Damage = { kind, updates: weight.oldUpdates, isExact: true };
    return { ...found, damage, oldKeys: weight.oldKeys };
  }
}

function* judge(
  world: World,
  session: Session,
  side: RedisSide,
  database: Watermark & { journal: { oldest: number } | null },
): Steps<Verdict> {
  const steps = verdictStepwise(side, database);
  let step = steps.next();
  while (!step.done)
    step = steps.next(yield* sql(session, 'recorded?', () => world.mysql.journal.has(side.token)));
  return step.value;
}

/** `Evidences.#weigh`. */
function* weigh(
  world: World,
  seen: RedisSide,
  cutoff: number,
): Steps<{ oldKeys: number; oldUpdates: number } | undefined> {
  const total = { oldKeys: 0, oldUpdates: 0 };
  const most = limits.recoveryPage;
  for (;;) {
    const from = total.oldKeys;
    const reply = yield* redis('look', () => recover(world, { action: 'look', cutoff, most, from }));
    if (!reply || reply.side.token !== seen.token) return undefined;
    total.oldKeys += reply.keys;
    total.oldUpdates += reply.updates + (from === 0 ? reply.inFlight + reply.discarded : 0);
    if (reply.keys < most) return total;
  }
}
