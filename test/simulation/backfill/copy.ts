/** The steps of src/backfill/copy.ts: record -> send -> persisted -> move the checkpoint. */
import { doubtOf } from '../../../src/backfill/remembered.ts';
import { standingOf } from '../../../src/producer/receipt.ts';
import type { Mark } from '../../../src/producer/waiting.ts';
import { isValueKind } from '../../../src/shared/item.ts';
import { openingId } from '../../../src/shared/updates/record.ts';
import { ask, OUTAGE, type Steps, script, wait } from '../steps.ts';
import type { Opening, Page, Run } from './mysql.ts';
import { WINDOW, type Wish } from './redis.ts';
import { type Copier, KEYS, LEASE, PARTITIONS, partitionOf, type World } from './world.ts';

/** The name of the run. */
export const RUN = 'r';
const MOST_PAGE = 4;
const MOST_OF_CALL = 2;
const MOST_TRIES = 3;

/** Another process has the run. */
const TAKEN = Symbol('taken');
/** Redis lost something of what it had accepted. */
const LOST = Symbol('lost');
const UNPROVEN = Symbol('unproven');

type Sent = readonly Mark[] | 'unsent' | 'unknown';

/** A process that takes the run and goes on until it is done, or killed. */
export function* copy(world: World, name: string): Steps<void> {
  const isOpen = () => !world.tables.run.isFinished && !world.isUnproven;
  yield* wait('the run is free', () => isOpen() && world.tables.run.ownedUntil <= world.now);
  const me: Copier = {
    name,
    owner: world.fresh('owner'),
    until: 0,
    sending: undefined,
    calls: 0,
    choice: world.choice,
  };
  world.copiers.set(name, me);
  try {
    yield* ask('take the run', () => take(world, me));
    while (!(yield* attempt(world, me)));
    yield* ask('release', () => release(world, me));
  } finally {
    world.copiers.delete(name);
  }
}

/** After an outage it begins again from its record. @returns whether it has ended */
function* attempt(world: World, me: Copier): Steps<boolean> {
  try {
    yield* walk(world, me);
    return true;
  } catch (error) {
    if (error === TAKEN || error === UNPROVEN) return true;
    if (error !== OUTAGE) throw error;
    return false;
  } finally {
    me.sending = undefined;
  }
}

function take(world: World, me: Copier): void {
  const { run } = world.tables;
  if (run.ownedUntil > world.now) return;
  world.tables.run = { ...run, owner: me.owner, ownedUntil: world.now + LEASE };
}

function release(world: World, { owner }: Copier): void {
  const { run } = world.tables;
  if (run.owner === owner) world.tables.run = { ...run, ownedUntil: world.now };
}

/** Changes the record, if the process has the run. */
function* change(world: World, me: Copier, name: string, to: (run: Run) => Partial<Run>): Steps<void> {
  const isOwn = () => world.tables.run.owner === me.owner || world.bug === 'ownerUnchecked';
  const isChanged = yield {
    name,
    isCommit: true,
    run: () => {
      if (!isOwn()) return false;
      const changed = to(world.tables.run);
      world.tables.run = { ...world.tables.run, ...changed };
      world.onCommit();
      return true;
    },
  };
  if (!isChanged) throw TAKEN;
}

function* walk(world: World, me: Copier): Steps<void> {
  const run = yield* ask('read the run', () => world.tables.run);
  if (run.isFinished && world.bug !== 'endedAnew') return;
  let { place } = run;
  if (run.page) {
    yield* settle(world, me, place, run.page, run.receipts ?? 'unknown');
    place = run.page.until;
  }
  me.choice = undefined;
  for (;;) {
    const rows = KEYS.filter(key => key > place).slice(0, 1 + world.random.below(MOST_PAGE));
    if (rows.length === 0) {
      const end = { place: '', page: undefined, receipts: undefined, isFinished: true };
      return yield* change(world, me, 'finish', () => end);
    }
    const page = yield* begin(world, me, rows);
    yield* settle(world, me, place, page, 'unsent');
    place = page.until;
  }
}

/** Reads the next rows and records them as under way. */
function* begin(world: World, me: Copier, rows: readonly string[]): Steps<Page> {
  const { bug, tables } = world;
  const since = yield* ask('moments', () => momentsOf(world));
  let page: Page = { until: rows.at(-1)!, since, openings: [] };
  const read = () => {
    page = { ...page, openings: rows.map(key => ({ key, amount: tables.source.get(key)!.value })) };
  };
  if (bug === 'unrecorded') {
    yield* ask('read the page', read);
    yield* send(world, me, page.openings);
  }
  yield* change(world, me, 'record the page', run => {
    if (bug !== 'unrecorded') read();
    if (bug !== 'markedLate') mark(world, rows, 1);
    for (const { key, amount } of page.openings) world.recorded.set(key, amount);
    return { page, receipts: bug === 'receiptsKept' ? run.receipts : undefined };
  });
  if (bug === 'markedLate') yield* ask('mark the rows', () => mark(world, rows, 1));
  return page;
}

function momentsOf({ redis, now }: World): Page['since'] {
  return PARTITIONS.map(partition => {
    const { epoch, last: slice } = redis[partition]!;
    return { partition, time: now, epoch, slice };
  });
}

function mark(world: World, rows: readonly string[], home: 1 | 2): void {
  if (!world.hasMark) return;
  const { source } = world.tables;
  for (const key of rows) source.set(key, { ...source.get(key)!, home });
}

/** Brings the page into MySQL, then moves the checkpoint behind it. */
function* settle(world: World, me: Copier, after: string, page: Page, sent: Sent): Steps<void> {
  const { bug } = world;
  const rows = KEYS.filter(key => key > after && key <= page.until);
  const keys = page.openings.map(({ key }) => key);
  for (let state = sent; ; state = 'unknown')
    try {
      if (!isReceipts(state)) me.sending = { isUnknown: state === 'unknown', keys };
      const openings = yield* unsent(world, me, page, state);
      yield* check(world, me);
      if (bug === 'markedEarly') yield* ask('rows are moved', () => mark(world, rows, 2));
      const marks = isReceipts(state) ? state : yield* send(world, me, openings);
      me.sending = undefined;
      if (!isReceipts(state))
        yield* change(world, me, 'accepted', () => ({ receipts: lastOf(world, marks) }));
      const isTrusted = isReceipts(state) && bug === 'receiptsTrusted';
      if (bug !== 'checkpointEarly' && !isTrusted) yield* persisted(world, marks);
      break;
    } catch (error) {
      if (error !== LOST) throw error;
      if (bug === 'lossIgnored') break;
    }
  yield* change(world, me, 'move the checkpoint', run => {
    mark(world, rows, 2);
    const keeps = bug === 'receiptsKept' ? run.receipts : undefined;
    return { place: page.until, page: undefined, receipts: keeps, isFinished: false };
  });
}

function isReceipts(sent: Sent): sent is readonly Mark[] {
  return typeof sent !== 'string';
}

/** A process that was frozen may have lost the run. */
function* check(world: World, me: Copier): Steps<void> {
  if (world.now < me.until) return;
  const isOwn = yield* ask('renew the lease', () => world.tables.run.owner === me.owner);
  if (!isOwn && world.bug !== 'ownerUnchecked') throw TAKEN;
}

/** What has to be sent, if anything: nothing that may count twice. */
function* unsent(world: World, me: Copier, page: Page, state: Sent): Steps<readonly Opening[]> {
  const { kind, bug, tables } = world;
  if (isReceipts(state)) return [];
  if (state === 'unsent') return page.openings;
  const openings =
    bug === 'amountsAnew'
      ? page.openings.map(({ key }) => ({ key, amount: tables.source.get(key)!.value }))
      : page.openings;
  if (isValueKind(kind)) return openings;
  if (kind === 'p')
    return yield* ask('look into the ledger', () =>
      openings.filter(({ key }) => !tables.updatesOf(key).some(({ isOpening }) => isOpening)),
    );
  if (bug === 'resentBlind' || !(yield* isDoubtful(world, page))) return openings;
  if (me.choice === undefined) {
    world.isUnproven = true;
    throw UNPROVEN;
  }
  for (const { key } of openings) world.decided.add(key);
  return me.choice === 'apply' ? openings : [];
}

/** Whether Redis may have forgotten an id of the page, or lost what MySQL has of it. */
function* isDoubtful(world: World, { since }: Page): Steps<boolean> {
  const { bug, tables } = world;
  for (const moment of since) {
    const { partition } = moment;
    const compare = function* (): Steps<boolean> {
      const watermark = yield* ask('read the watermark', () => tables.watermarks[partition]!);
      return yield* ask('ask Redis', () => {
        const { epoch, sequence, token, first, last } = world.redis[partition]!;
        const isPast = bug === 'momentLate';
        const seen = {
          time: bug === 'windowIgnored' || isPast ? moment.time : world.now,
          epoch: bug === 'epochIgnored' ? moment.epoch : epoch,
          first: bug === 'limitIgnored' ? 0 : first,
          ...(bug === 'epochOnly' ? watermark : { sequence, token }),
        };
        const from = isPast ? { ...moment, epoch, slice: last } : moment;
        return doubtOf(from, seen, watermark, WINDOW) !== undefined;
      });
    };
    const isUnlocked = bug === 'watermarkUnlocked' || bug === 'epochOnly';
    if (isUnlocked ? yield* compare() : yield* world.transaction(partition, compare)) return true;
  }
  return false;
}

/** Returns once Redis has accepted all of them. */
function* send(world: World, me: Copier, openings: readonly Opening[]): Steps<readonly Mark[]> {
  const { bug, kind } = world;
  const marks: Mark[] = [];
  let tries = 0;
  for (const [partition, part] of partsOf(world, openings))
    for (;;) {
      const seen = marks.findLast(one => one.partition === partition) ?? { incarnation: '', updates: 0 };
      const wishes = part.map(opening => wishOf(world, opening));
      const call = { caller: me.owner, number: ++me.calls, seen, wishes };
      try {
        const sent = JSON.stringify(part);
        const accepted = yield* script(`send ${sent}`, () => world.apply(partition, call));
        if (!accepted) throw OUTAGE;
        marks.push(accepted);
        break;
      } catch (error) {
        // What was a call without an answer may be in MySQL, and Redis may have lost it since.
        const mayRepeat = kind !== 'c' || bug === 'retriedBlind';
        if (error !== OUTAGE || !mayRepeat || ++tries === MOST_TRIES) throw error;
      }
    }
  return marks;
}

/** Openings of one partition in each call. */
function partsOf(world: World, openings: readonly Opening[]): [number, readonly Opening[]][] {
  return PARTITIONS.flatMap(partition => {
    const all = openings.filter(({ key }) => partitionOf(key) === partition);
    const size = 1 + world.random.below(MOST_OF_CALL);
    const parts: [number, readonly Opening[]][] = [];
    for (let from = 0; from < all.length; from += size) parts.push([partition, all.slice(from, from + size)]);
    return parts;
  });
}

function wishOf({ bug, kind }: World, { key, amount }: Opening): Wish {
  const isNew = bug === 'noIds' || (bug === 'openingNewest' && kind === '=');
  const id = isNew ? '' : bug === 'callersIds' ? RUN : openingId(RUN);
  return { key, amount, id, isOpening: true };
}

/** The receipts that stand for all: the last one of a partition, an epoch and an incarnation. */
function lastOf({ bug }: World, marks: readonly Mark[]): readonly Mark[] {
  const last = new Map<string, Mark>();
  for (const mark of marks) {
    const { partition, epoch, incarnation, updates } = mark;
    const place = bug === 'oneReceipt' ? `${partition}` : `${partition} ${epoch} ${incarnation}`;
    if ((last.get(place)?.updates ?? -1) <= updates) last.set(place, mark);
  }
  return [...last.values()];
}

/** Waits until all is in MySQL. */
function* persisted(world: World, marks: readonly Mark[]): Steps<void> {
  for (const mark of marks) {
    const standing = () => {
      const { epoch, acked, quarantined, incarnation, updates, ended } = world.redis[mark.partition]!;
      const counts = { poppedAcked: acked, entryAcked: acked, quarantined, updates };
      const lives = ended.map(({ incarnation: name, kept }) => `${name} ${kept} 0`).join(' ');
      return epoch === ''
        ? 'waiting'
        : standingOf(mark, world.kind, { epoch, incarnation, ...counts, ended: lives });
    };
    let found: ReturnType<typeof standing>;
    do {
      yield* wait('the page is in MySQL', () => standing() !== 'waiting');
      found = yield* ask('ask for the receipt', standing);
    } while (found === 'waiting');
    if (found === 'lost') throw LOST;
  }
}
