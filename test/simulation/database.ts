/** Transactions and changes of the watermark: `Database.transaction`, `Aligner` and `ColdReader` as steps. */
import type { Watermark } from '../../src/shared/partition/watermark.ts';
import {
  BLOCKED,
  closeSession,
  commit,
  declareLoss,
  lockWatermark,
  openSession,
  rollback,
  type Session,
  use,
} from './mysql.ts';
import { adopt, type ColdValue, type LoadReply, load } from './shared-scripts.ts';
import { type Process, redis, type Steps, sleep, sql, token, type World } from './world.ts';

/** Commits the writes of `body`; rolls back if it throws; closes the session if that fails. */
export function* transaction<Result>(
  world: World,
  me: Process,
  body: (session: Session) => Steps<Result>,
): Steps<Result> {
  const session = openSession(world, me.name);
  let result: Result;
  try {
    result = yield* body(session);
  } catch (error) {
    try {
      yield* sql(session, 'rollback', () => rollback(world.mysql, session));
    } catch {
      closeSession(world.mysql, session);
    }
    throw error;
  }
  yield* sql(session, 'commit', () => commit(world, session));
  return result;
}

export function* locked(world: World, session: Session, mode: 'update' | 'share'): Steps<Watermark> {
  return yield* sql(
    session,
    `lock watermark (${mode})`,
    () => lockWatermark(world, session, mode) as Watermark,
  );
}

export { BLOCKED };

class Contested {
  readonly code = 'CONTESTED';
}
const CONTESTED = new Contested();

/** `Aligner.align`. */
export function* align(world: World, me: Process): Steps<'aligned' | 'adopted' | 'contested'> {
  try {
    return yield* transaction(world, me, function* (session) {
      const watermark = yield* locked(world, session, 'update');
      const seen = yield* redis('read state', () => {
        const { state } = world.redis.data;
        return (
          state && {
            epoch: state.epoch,
            sequence: state.sequence,
            token: state.token,
            claimed: state.claimed,
            dropped: state.dropped,
            updates: state.updates,
          }
        );
      });
      const sequence = seen?.sequence ?? 0;
      if (seen && sequence > watermark.sequence + (seen.token ? 1 : 0)) throw HALTED;
      const behind = !seen?.token && sequence < watermark.sequence;
      if (seen && seen.epoch === watermark.epoch && !behind) return 'aligned';
      if (behind && seen && seen.updates > seen.claimed) {
        const oldest = yield* sql(session, 'oldest in the journal', () => oldestOf(world, session));
        if (oldest > sequence + 1) throw HALTED;
      }
      const epoch = world.bugs.liveKept && seen ? seen.epoch : token(world, 'e');
      const updates = !seen || seen.token ? watermark.updates : seen.claimed - seen.dropped;
      yield* sql(session, 'update epoch', () => {
        const draft = use(world, session);
        draft.watermark = { ...watermark, epoch, updates };
        declareLoss(world, session, 'doubled', epoch, watermark.updates - updates);
      });
      const done = yield* redis('adopt', () =>
        adopt(world, seen?.epoch ?? '', epoch, watermark.sequence, updates),
      );
      if (!done) throw CONTESTED;
      if (watermark.sequence > sequence) world.counted.rewinds++;
      return 'adopted' as const;
    });
  } catch (error) {
    if (error === CONTESTED) return 'contested';
    throw error;
  }
}

/** The oldest sequence number in the journal, or 0 if the journal is empty. */
export function oldestOf(world: World, session: Session): number {
  use(world, session);
  const sequences = [...world.mysql.journal.values()].map(({ sequence }) => sequence);
  return sequences.length === 0 ? 0 : Math.min(...sequences);
}

/** `PartitionHaltedError`. */
export const HALTED = { code: 'DATABASE_WENT_BACK' } as const;
export const UNSETTLED = { code: 'READ_UNSETTLED' } as const;

const PLAIN_TRIES = 2;
const TRIES = 8;
const DOUBT_PAUSE_MS = 5;

/** `ColdReader.load` for one key. */
export function* loadCold(world: World, me: Process, kind: 'c' | 'p', item: string): Steps<number> {
  let doubtful = false;
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const held: boolean = attempt >= PLAIN_TRIES && !doubtful;
    const reply: LoadReply = held
      ? yield* transaction(world, me, function* (session) {
          yield* locked(world, session, 'share');
          return yield* loadOnce(world, session, kind, item);
        })
      : yield* loadOnce(world, openSession(world, me.name), kind, item);
    if (reply.status === 'ok') return reply.value;
    doubtful = reply.status === 'again' && reply.why === 'doubtful';
    if (doubtful) yield* sleep(world, DOUBT_PAUSE_MS);
    if (reply.status === 'again' && reply.why === 'ahead' && held) {
      yield* align(world, me);
      throw UNSETTLED;
    }
    if (reply.status === 'absent' || held) yield* align(world, me);
  }
  throw UNSETTLED;
}

function* loadOnce(world: World, session: Session, kind: 'c' | 'p', item: string): Steps<LoadReply> {
  const row = yield* sql(session, 'read value and watermark', () => {
    const { mysql } = world;
    return {
      watermark: mysql.watermark,
      value: (mysql.values.get(item) ?? 0) + (mysql.aside.get(item) ?? 0),
    };
  });
  const cold: ColdValue = { kind, item, value: row.value };
  return yield* redis('load', () => load(world, row.watermark, cold));
}
