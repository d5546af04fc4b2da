/**
 * A producer process and its users: micro-batches, calls with a number and a deadline, receipts, cold reads.
 */
import {
  encodeGroups,
  type Group,
  groupUpdates,
  type Member,
  NOT_LOADED,
  OUT_OF_RANGE,
  parseReply,
  refusal,
} from '../../src/producer/micro-batch.ts';
import { standingOf } from '../../src/producer/receipt.ts';
import type { Mark } from '../../src/producer/waiting.ts';
import { apply } from './apply-script.ts';
import { align, loadCold } from './database.ts';
import { openSession } from './mysql.ts';
import { addJob, read } from './shared-scripts.ts';
import type { Asked, Users } from './users.ts';
import { limits, OUT_OF_MEMORY, type Process, redis, type Steps, sleep, sql, type World } from './world.ts';

/** Stand for errors of the producer's catalogue. */
const UNKNOWN = { code: 'UNKNOWN_OUTCOME' } as const;
const UNAVAILABLE = { code: 'REDIS_UNAVAILABLE' } as const;
const MAX_TRIES = 3;

interface Sent extends Member {
  readonly asked: Asked;
  alone: boolean;
  refuse(): void;
}

export function* produce(world: World, me: Process, users: Users): Steps<void> {
  yield* ignoringErrors(align(world, me));
  for (;;) {
    const calls = users.take(world, me.name);
    if (calls.length > 0)
      yield* send(
        world,
        me,
        calls.map(asked => waitingFor(world, users, asked)),
      );
    else if (world.random.chance(0.5)) yield* ignoringErrors(readOne(world, me, users));
    const receipt = users.receipts.length > 0 && world.random.chance(0.4);
    if (receipt) yield* ignoringErrors(askReceipt(world, me, users));
    yield* sleep(world, 1 + world.random.below(world.calm ? 40 : 12));
  }
}

function* ignoringErrors(steps: Steps<unknown>): Steps<void> {
  try {
    yield* steps;
  } catch (error) {
    if (error instanceof Error) throw error;
  }
}

function waitingFor(world: World, users: Users, asked: Asked): Sent {
  return {
    asked,
    update: asked.update,
    alone: false,
    accept: (value, duplicate, mark) => users.onAccepted(world, asked, { value, duplicate, mark }),
    refuse: () => users.onRefused(world, asked),
  };
}

/** `Applier.#drain` and `#send`: loads cold accounts and sends their updates again. */
function* send(world: World, me: Process, first: Sent[]): Steps<void> {
  let waiting = first;
  for (let round = 0; waiting.length > 0 && round <= MAX_TRIES; round++) {
    const groups = groupUpdates(waiting);
    const again: Sent[] = [];
    try {
      const reply = yield* call(world, me, groups);
      if (world.ranked?.bugs.boardApart)
        yield* ignoringErrors(
          redis('add to the board', () => world.ranked!.apart.splice(0).map(add => add())),
        );
      const mark: Mark = { partition: 0, ...reply };
      if (reply.armed)
        yield* ignoringErrors(redis('add job', () => addJob(world, limits.flushIntervalMs, me.name)));
      for (const [at, group] of groups.entries()) settle(group, reply.results[at]!, mark, again);
    } catch (error) {
      if (error instanceof Error) throw error;
      for (const { asked } of waiting) asked.users.onFailed(world, asked, error === UNKNOWN);
      return;
    }
    const cold = new Set(again.filter(({ alone }) => !alone).map(({ update }) => update.item));
    for (const item of cold) {
      try {
        yield* loadCold(world, me, 'p', item);
      } catch (error) {
        if (error instanceof Error) throw error;
      }
    }
    waiting = again;
  }
  for (const { asked } of waiting) asked.users.onFailed(world, asked, false);
}

/** `Applier.#settle`. */
function settle(group: Group<Sent>, result: string, mark: Mark, again: Sent[]): void {
  const { members } = group;
  if (result === OUT_OF_RANGE && members.length > 1)
    for (const member of members) again.push(Object.assign(member, { alone: true }));
  else if (result === NOT_LOADED) again.push(members[0]!);
  else {
    const refused = refusal(result, members[0]!.update);
    if (refused) for (const member of members) member.refuse();
    else group.accept(result, mark);
  }
}

/** `ApplyCall`: one script call, which a lost connection may send twice. */
function* call(world: World, me: Process, groups: readonly Group<Sent>[]) {
  const until = world.now + limits.callTimeoutMs;
  const caller = { id: `${me.name}.${me.life}`, number: ++me.calls };
  const args = encodeGroups(groups);
  const uids = groups.map(group => group.members.map(({ asked }) => asked.uid));
  const before = me.disconnections;
  for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
    let text: string;
    try {
      text = yield* redis('apply', () => apply(world, caller, until, args, uids, me.seen));
    } catch (error) {
      if (error !== OUT_OF_MEMORY) throw UNKNOWN;
      // After a lost connection, the error may belong to the second attempt.
      throw before === me.disconnections ? UNAVAILABLE : UNKNOWN;
    }
    // The producer's timer has ended, so it ignores the answer.
    if (world.now > until + 100) throw UNKNOWN;
    const reply = parseReply(text);
    if (reply.status === 'ok') {
      if (reply.incarnation !== me.seen.incarnation || reply.updates > me.seen.updates)
        me.seen = { incarnation: reply.incarnation, updates: reply.updates };
      return reply;
    }
    if (reply.status !== 'absent') break;
    try {
      yield* align(world, me);
    } catch (error) {
      if (error instanceof Error || before === me.disconnections) throw error;
      throw UNKNOWN;
    }
  }
  throw before === me.disconnections ? UNAVAILABLE : UNKNOWN;
}

function* readOne(world: World, me: Process, users: Users): Steps<void> {
  const { kind, item } = users.anyKey(world);
  const live = yield* redis('read', () => read(world, kind, item));
  if (live === undefined) yield* loadCold(world, me, kind, item);
}

/** `Progress.#poll`: asks what became of the update of a receipt. */
function* askReceipt(world: World, me: Process, users: Users): Steps<void> {
  const at = world.random.below(users.receipts.length);
  const { asked, accepted } = users.receipts[at]!;
  const standing = yield* redis('read state', () => {
    const { state } = world.redis.data;
    if (!state) return { said: 'waiting', sequence: 0 };
    const { kind } = asked.update;
    const { mark } = accepted;
    const { incarnation, updates } = world.bugs.noIncarnation ? mark : state;
    return { said: standingOf(mark, kind, { ...state, incarnation, updates }), sequence: state.sequence };
  });
  if (standing.said === 'waiting') return;
  users.receipts = users.receipts.filter(receipt => receipt.asked !== asked);
  if (standing.said === 'lost') return users.onPersistenceUnknown(world, asked);
  const isAside =
    (standing.said === 'quarantine' || accepted.duplicate) &&
    (yield* sql(openSession(world, me.name), 'find in quarantine', () =>
      isQuarantined(world, asked, accepted.mark, accepted.duplicate, standing.sequence),
    ));
  if (!isAside) world.checker.onPersisted(world, asked);
}

/** `Progress.#checkQuarantine`. */
function isQuarantined(world: World, asked: Asked, mark: Mark, duplicate: boolean, seen: number): boolean {
  const { update } = asked;
  const { mysql } = world;
  const before = duplicate ? 0 : mark.sequence;
  const batches = [...mysql.journal.values()].filter(({ sequence }) => sequence > before);
  const reaching = batches.filter(({ popped }) => popped >= mark.pushed).map(({ sequence }) => sequence);
  const last = reaching.length === 0 ? seen : Math.min(...reaching);
  const isEarlier = (of: number) =>
    !duplicate && batches.some(({ sequence, popped }) => sequence === of && popped <= mark.segmentEnd);
  const found = mysql.refused.filter(({ item, id, sequence }) => {
    if (item !== update.item) return false;
    return id === undefined
      ? sequence > before && sequence <= last && !isEarlier(sequence)
      : id === update.id;
  });
  if (found.length > 0 && update.kind === 'c' && !duplicate) world.checker.onQuarantined(asked, found);
  return found.length > 0;
}
