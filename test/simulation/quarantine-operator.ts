/**
 * Two operators who replay and drop quarantined updates and resume each other's operations: `OperationRun`,
 * `ReplayOne` and `openAmender` as steps, with one row per operation. They also switch MySQL's refusals on
 * and off.
 */
import { parseReply } from '../../src/producer/micro-batch.ts';
import { apply } from './apply-script.ts';
import { locked, transaction } from './database.ts';
import { addEntries, lockRow, openSession, type QuarantineRow, takeRow, use } from './mysql.ts';
import { addJob } from './shared-scripts.ts';
import { DUPLICATE, limits, type Process, redis, type Steps, sleep, sql, type World } from './world.ts';

interface Operation {
  readonly id: number;
  readonly action: 'drop' | 'replay';
  readonly row: QuarantineRow;
  finished: boolean;
}

/** `sluice_operations`, which both operators see. */
export type Audit = Operation[];

export function* amend(world: World, me: Process, audit: Audit): Steps<void> {
  const { choices } = world;
  for (;;) {
    // A walk must not miss a key that leaves the quarantine meanwhile.
    const isWalking = world.redis.data.ranks.phase === 'walk';
    yield* sleep(world, isWalking ? 1 : 3 + choices.below(30));
    if (!world.calm && choices.chance(0.15)) world.refusing = !world.refusing;
    try {
      const operation = yield* choose(world, me, audit);
      if (operation) yield* run(world, me, operation);
    } catch (error) {
      if (error instanceof Error) throw error;
    }
  }
}

/** An unfinished operation of any operator, or a new one. */
function* choose(world: World, me: Process, audit: Audit): Steps<Operation | undefined> {
  const { choices } = world;
  const open = audit.filter(({ finished }) => !finished);
  if (open.length > 0 && (world.calm || choices.chance(0.3))) return choices.pick(open);
  if (world.calm) return undefined;
  return yield* sql(openSession(world, me.name), 'start operation', () => {
    const rows = world.mysql.refused.filter(({ id }) => id !== undefined);
    if (rows.length === 0) return undefined;
    const action = choices.chance(world.ranked ? 0.3 : 0.7) ? 'drop' : 'replay';
    const operation: Operation = { id: audit.length + 1, action, row: choices.pick(rows), finished: false };
    audit.push(operation);
    return operation;
  });
}

function* run(world: World, me: Process, operation: Operation): Steps<void> {
  if (operation.action === 'drop') yield* drop(world, me, operation);
  else yield* replay(world, me, operation);
  yield* sql(openSession(world, me.name), 'finish operation', () => {
    operation.finished = true;
  });
}

function* drop(world: World, me: Process, { id, row }: Operation): Steps<void> {
  const session = openSession(world, me.name);
  const taken = yield* sql(session, 'take row', () => takeRow(world, session, row.row, id));
  if (!taken) return;
  const until = world.now + limits.callTimeoutMs;
  const caller = { id: `${me.name}.${me.life}`, number: ++me.calls };
  const content = JSON.stringify({ row: row.row, operation: id });
  const update = JSON.stringify(['a', row.item, -row.amount, 0, `${id} ${row.row}`, content]);
  const text = yield* redis('amend', () => apply(world, caller, until, update, [[]], me.seen));
  const reply = parseReply(text);
  // The operation stays unfinished, and somebody will resume it.
  if (reply.status !== 'ok') throw { code: 'UNKNOWN_OUTCOME' };
  me.seen = { incarnation: reply.incarnation, updates: reply.updates };
  if (reply.armed) yield* redis('add job', () => addJob(world, limits.flushIntervalMs, me.name));
}

/** In one transaction under the watermark's lock. */
function* replay(world: World, me: Process, { row }: Operation): Steps<void> {
  yield* transaction(world, me, function* (session) {
    yield* locked(world, session, 'update');
    const found = yield* sql(session, 'lock row', () => lockRow(world, session, row.row));
    if (!found || (found.operation !== undefined && !world.bugs.noTake)) return;
    yield* sql(session, 'replay row', () => {
      const { item, amount, id, uids } = found;
      const entry = { number: 0, previous: 0, time: world.now, item, amount, id: id!, uid: uids[0]! };
      addEntries(world, session, [entry], DUPLICATE);
      use(world, session).out.push({ row: found.row, dropped: false });
    });
  });
}
