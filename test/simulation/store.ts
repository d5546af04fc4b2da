/** `Store.commit` as steps: the real table of decisions and the real bisection, between modelled servers. */

import { type Decision, decideStepwise } from '../../src/shared/partition/decision.ts';
import type { Watermark } from '../../src/shared/partition/watermark.ts';
import { parts } from '../../src/worker/bisect.ts';
import { isRefusal } from '../../src/worker/quarantine.ts';
import { HALTED, locked, transaction } from './database.ts';
import {
  addCounters,
  addEntries,
  commit,
  declareLoss,
  lockRow,
  type Outcome,
  openSession,
  putAside,
  type Refused,
  type Session,
  use,
} from './mysql.ts';
import type { Entry } from './redis.ts';
import { type Batch, rewind } from './worker-scripts.ts';
import { DUPLICATE, type Process, redis, type Steps, sql, token, type World } from './world.ts';

export type CommitResult =
  | { readonly decision: 'apply' | 'rewind'; readonly outcome: Outcome }
  | { readonly decision: 'skip'; readonly outcome: Outcome; readonly rewound: boolean }
  | { readonly decision: 'stop' };

/** Ends the transaction without a commit and with this result. */
class Abandon {
  readonly result: CommitResult;
  constructor(result: CommitResult) {
    this.result = result;
  }
}
const STOP = new Abandon({ decision: 'stop' });
const NO_OUTCOME: Outcome = { late: [], quarantined: 0, quarantinedBefore: 0 };

export function* commitBatch(world: World, me: Process, batch: Batch): Steps<CommitResult> {
  const current = { batch };
  try {
    return yield* attempt(world, me, current, false);
  } catch (error) {
    if (error instanceof Abandon) return error.result;
    if (!isRefusal(error)) throw error;
  }
  try {
    return yield* attempt(world, me, current, true);
  } catch (error) {
    if (error instanceof Abandon) return error.result;
    throw error;
  }
}

function inFlight(world: World, batch: Batch): Steps<boolean> {
  return redis('in flight?', () => world.redis.data.state?.token === batch.token);
}

/** @param current the batch, whose sequence and epoch a rewind changes */
function* attempt(
  world: World,
  me: Process,
  current: { batch: Batch },
  careful: boolean,
): Steps<CommitResult> {
  const aside: Refused[] = [];
  const result = yield* transaction(world, me, function* (session) {
    const watermark = yield* locked(world, session, 'update');
    const decision = yield* decideBatch(world, session, current.batch, watermark);
    if (decision === 'skip') {
      const { batch } = current;
      const row = world.mysql.journal.get(batch.token);
      const rewound = batch.sequence < watermark.sequence || batch.epoch !== watermark.epoch;
      throw new Abandon({ decision, outcome: row?.outcome ?? NO_OUTCOME, rewound });
    }
    if (decision === 'stop') throw STOP;
    if (decision !== 'apply' && decision !== 'rewind') throw HALTED;
    yield* renumber(world, current, watermark, decision);
    const { batch } = current;
    const { sequence, epoch } = batch;
    yield* writeCounters(world, session, batch, careful, aside);
    const left = yield* writeEntries(world, session, batch, careful, aside);
    const reload = yield* carryOut(world, session, batch);
    if (!world.bugs.quarantineAfterCommit)
      for (const refused of aside) yield* sql(session, 'quarantine', () => putAside(world, session, refused));
    const outcome = { ...left, late: [...left.late, ...reload], quarantined: aside.length };
    yield* sql(session, 'record batch, move watermark', () => {
      const draft = use(world, session);
      draft.journal = {
        token: batch.token,
        row: { sequence, popped: batch.popped, committedAt: world.now, outcome },
      };
      const updates = batch.claimed - (world.bugs.discardedAsWritten ? 0 : batch.dropped);
      draft.watermark = { sequence, token: batch.token, epoch, updates };
      const forgotten = watermark.updates - (updates - batch.updates);
      declareLoss(world, session, 'doubled', batch.token, forgotten);
    });
    if (!(yield* inFlight(world, batch)) && !world.bugs.ackBeforeCommit) throw STOP;
    return { decision, outcome } as const;
  });
  if (world.bugs.quarantineAfterCommit) yield* quarantineLate(world, me, aside);
  return result;
}

/** Only for the bug: a transaction after that of the batch. */
function* quarantineLate(world: World, me: Process, aside: readonly Refused[]): Steps<void> {
  const session = openSession(world, me.name);
  for (const refused of aside) {
    yield* sql(session, 'quarantine, on its own', () => {
      putAside(world, session, refused);
      commit(world, session);
    });
  }
}

function* decideBatch(world: World, session: Session, batch: Batch, watermark: Watermark): Steps<Decision> {
  if (world.bugs.noWatermark) return 'apply';
  const steps = decideStepwise(batch, watermark);
  let step = steps.next();
  while (!step.done) {
    const question = step.value;
    if (question === 'inFlight') step = steps.next(yield* inFlight(world, batch));
    else {
      const answer = yield* sql(session, `${question}?`, () => {
        use(world, session);
        const { journal } = world.mysql;
        if (question === 'recorded') return journal.has(batch.token);
        const sequences = [...journal.values()].map(row => row.sequence);
        return sequences.length === 0 ? undefined : Math.min(...sequences);
      });
      step = steps.next(answer);
    }
  }
  return step.value;
}

function* renumber(
  world: World,
  current: { batch: Batch },
  watermark: Watermark,
  decision: 'apply' | 'rewind',
): Steps<void> {
  const { batch } = current;
  if (world.bugs.noWatermark || (decision === 'apply' && batch.epoch === watermark.epoch)) return;
  const sequence = watermark.sequence + 1;
  const epoch = world.bugs.liveKept ? batch.epoch : token(world, 'e');
  const done = yield* redis('rewind', () => rewind(world, batch.token, batch.sequence, sequence, epoch));
  if (!done) throw STOP;
  current.batch = { ...batch, sequence, epoch };
  if (decision === 'rewind') world.counted.rewinds++;
}

function* writeCounters(
  world: World,
  session: Session,
  batch: Batch,
  careful: boolean,
  aside: Refused[],
): Steps<void> {
  if (batch.counters.length === 0) return;
  const add = (sums: Batch['counters']) =>
    sql(session, 'add counters', () => addCounters(world, session, sums));
  if (!careful) return yield* add(batch.counters);
  yield* searching(batch.counters, add, ({ item, sum, uids }) => {
    aside.push({ item, id: undefined, sequence: batch.sequence, amount: sum, uids });
  });
}

function* writeEntries(
  world: World,
  session: Session,
  batch: Batch,
  careful: boolean,
  aside: Refused[],
): Steps<Omit<Outcome, 'quarantined'>> {
  const entries = batch.entries.filter(({ drops }) => !drops);
  if (entries.length === 0) return NO_OUTCOME;
  const add = (some: readonly Entry[]) =>
    sql(session, 'add balances and entries', () => addEntries(world, session, some, DUPLICATE));
  const isWary =
    careful ||
    (yield* sql(session, 'entries in quarantine?', () =>
      world.mysql.refused.some(({ id }) => id !== undefined),
    ));
  const { fresh, ...left } = isWary
    ? yield* sql(session, 'find entries', () => splitLate(world, session, entries))
    : { ...NO_OUTCOME, fresh: entries };
  if (!careful) {
    if (fresh.length > 0) yield* add(fresh);
    return left;
  }
  yield* searching(fresh, add, ({ item, id, amount, uid }) => {
    aside.push({ item, id, sequence: batch.sequence, amount, uids: [uid] });
  });
  return left;
}

/** `AmendmentWriter`: drops rows, and returns the live values that a drop changed in vain. */
function* carryOut(world: World, session: Session, batch: Batch): Steps<Outcome['late']> {
  const reload: { item: string; amount: number }[] = [];
  for (const { item, amount, drops } of batch.entries) {
    if (!drops) continue;
    yield* sql(session, 'carry out amendment', () => {
      const row = lockRow(world, session, drops.row);
      if (row && (row.operation === drops.operation || world.bugs.noTake))
        use(world, session).out.push({ row: row.row, dropped: true });
      else reload.push({ item, amount });
    });
  }
  return reload;
}

/** Splits entries into those that the ledger or the quarantine has already, and the others. */
function splitLate(world: World, session: Session, entries: readonly Entry[]) {
  const { ledgerIds, refused } = world.mysql;
  const isRefused = ({ item, id }: Entry) => refused.some(row => row.item === item && row.id === id);
  const isKnown = (entry: Entry) => ledgerIds.has(`${entry.item} ${entry.id}`) || isRefused(entry);
  const late = entries.filter(isKnown);
  use(world, session).late.push(...late.map(entry => entry.uid));
  const quarantinedBefore = late.filter(isRefused).length;
  return { late, quarantinedBefore, fresh: entries.filter(entry => !isKnown(entry)) };
}

/** `bisect` with steps instead of promises. A refused attempt of the model leaves nothing behind. */
function* searching<Item>(
  items: readonly Item[],
  attemptThem: (items: readonly Item[]) => Steps<void>,
  refuse: (item: Item) => void,
): Steps<void> {
  const search = parts(items);
  for (let step = search.next(); !step.done; ) {
    let refused = false;
    try {
      yield* attemptThem(step.value);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      refused = true;
      if (step.value.length === 1) refuse(step.value[0]!);
    }
    step = search.next(refused);
  }
}
