/** Everybody else: services that send updates, those that write the column, workers, an operator. */
import { isValueKind } from '../../../src/shared/item.ts';
import { ask, type Steps, script, wait } from '../steps.ts';
import { RUN } from './copy.ts';
import type { Outcome, Tables } from './mysql.ts';
import type { Batch, Wish } from './redis.ts';
import { KEYS, PARTITIONS, partitionOf, type World } from './world.ts';

const AMOUNTS = 100;

/** A service, and what it still sends. */
export interface Service {
  readonly name: string;
  calls: number;
  left: number;
}

/** Sends updates of the rows' keys, some with an id that is the name of the run. */
export function* serve(world: World, service: Service): Steps<void> {
  const { random, hasMark } = world;
  yield* wait('a service sends', () => !hasMark && !world.isCalm && service.left > 0);
  service.left--;
  const key = random.pick(KEYS);
  const amount = 1 + random.below(AMOUNTS);
  yield* put(world, service, { key, amount, id: idOf(world), isOpening: false });
}

function idOf(world: World): string {
  const { random, kind } = world;
  if (isValueKind(kind)) return '';
  if (random.chance(0.3)) return RUN;
  return kind === 'p' || random.chance(0.5) ? world.fresh('u') : '';
}

function* put(world: World, service: Service, wish: Wish): Steps<void> {
  const number = ++service.calls;
  const { name: caller } = service;
  const { key, amount } = wish;
  const isSending = () => [...world.copiers.values()].some(({ sending }) => sending);
  yield* script(`update ${key}`, () => {
    // Within a call of the backfill nobody sends so much that ids of counters are pushed out.
    const id = world.kind === 'c' && isSending() ? '' : wish.id;
    const before = world.redisOf(key).updates;
    const call = { caller, number, seen: { incarnation: '', updates: 0 }, wishes: [{ ...wish, id }] };
    const mark = world.apply(partitionOf(key), call);
    const isNew = mark !== undefined && world.redisOf(key).updates > before;
    if (isNew) world.truth.set(key, world.truth.get(key)! + amount);
    return mark;
  });
}

/** Whoever changes the column. With a mark, a writer of a row that is in Sluice sends an update instead. */
export function* write(world: World, service: Service): Steps<void> {
  const { random, tables, hasMark } = world;
  yield* wait('a writer writes', () => !world.isCalm && service.left > 0);
  service.left--;
  const key = random.pick(KEYS);
  const amount = 1 + random.below(9);
  const home = yield* ask(`write ${key}`, () => {
    const row = tables.source.get(key)!;
    if (hasMark && row.home !== 0) return row.home;
    tables.source.set(key, { ...row, value: row.value + amount });
    world.truth.set(key, world.truth.get(key)! + amount);
    return 0;
  });
  if (home !== 2) return;
  const id = world.kind === 'p' ? world.fresh('u') : '';
  yield* put(world, service, { key, amount, id, isOpening: false });
}

/** Claim, commit, ack. */
export function* flush(world: World): Steps<void> {
  const hasWork = (partition: number) => {
    const { token, pending, epoch } = world.redis[partition]!;
    return epoch !== '' && (token !== '' || pending.length > 0);
  };
  yield* wait('updates wait', () => PARTITIONS.some(hasWork));
  const partition = world.random.pick(PARTITIONS.filter(hasWork));
  const batch = yield* script(`claim ${partition}`, () => {
    const claimed = world.redis[partition]!.claim(world.fresh('t'));
    if (world.hasBarrier) world.replicas[partition] = world.redis[partition]!.copy();
    return claimed;
  });
  if (!batch) return;
  const outcome = yield* world.transaction(partition, writes => commit(world, writes, batch));
  if (outcome)
    yield* script(`ack ${partition}`, () =>
      world.redis[partition]!.ack(batch.token, outcome.quarantined, world.now),
    );
}

function* commit(
  world: World,
  writes: (change: (tables: Tables) => void) => void,
  claimed: Batch,
): Steps<Outcome | undefined> {
  const { partition } = claimed;
  const { tables } = world;
  const inFlight = () => world.redis[partition]!.token === claimed.token;
  const decision = yield* ask('decide', () => tables.decide(claimed, inFlight()));
  if (decision === 'skip') return tables.journals[partition]!.get(claimed.token)!;
  if (decision === 'stop') return undefined;
  let batch = claimed;
  const watermark = tables.watermarks[partition]!;
  if (decision !== 'apply' || batch.epoch !== watermark.epoch) {
    batch = { ...claimed, sequence: watermark.sequence + 1, epoch: world.fresh('e') };
    const { sequence, epoch } = batch;
    if (!(yield* script('rewind', () => world.redis[partition]!.rewind(claimed, sequence, epoch))))
      return undefined;
  }
  const refuses = world.refuses[partition]!;
  const outcome = { sequence: batch.sequence, quarantined: 0 };
  writes(now => Object.assign(outcome, now.writeBatch(world.kind, refuses, batch)));
  if (!(yield* ask('ask for the token', inFlight))) return undefined;
  return outcome;
}

export function* align(world: World): Steps<void> {
  const differs = (partition: number) => {
    const { epoch, token, sequence } = world.redis[partition]!;
    const watermark = world.tables.watermarks[partition]!;
    return epoch !== watermark.epoch || (!token && sequence < watermark.sequence);
  };
  yield* wait('sides differ', () => PARTITIONS.some(differs));
  const partition = world.random.pick(PARTITIONS.filter(differs));
  yield* world.transaction(partition, function* (writes) {
    const seen = yield* ask('look', () => (differs(partition) ? world.redis[partition]!.epoch : undefined));
    if (seen === undefined) return undefined;
    const epoch = world.fresh('e');
    const watermark = world.tables.watermarks[partition]!;
    writes(({ watermarks }) => {
      watermarks[partition] = { ...watermark, epoch };
    });
    return (
      (yield* script('adopt', () => world.redis[partition]!.adopt(seen, epoch, watermark.sequence))) ||
      undefined
    );
  });
}

/** An operator who replays what is in quarantine. */
export function* replay(world: World): Steps<void> {
  const isOpen = () => PARTITIONS.filter(partition => !world.refuses[partition]);
  const waiting = () =>
    world.tables.quarantine.filter(({ key }) => isOpen().some(one => one === partitionOf(key)));
  yield* wait('updates are in quarantine', () => waiting().length > 0);
  const partition = partitionOf(world.random.pick(waiting()).key);
  yield* world.transaction(partition, function* (writes) {
    writes(tables => {
      const mine = tables.quarantine.filter(({ key }) => partitionOf(key) === partition);
      tables.quarantine = tables.quarantine.filter(row => !mine.includes(row));
      for (const row of mine) tables.write(world.kind, row);
    });
    return yield* ask('replay', () => true);
  });
}
