/** Producers, workers, readers and operators of values, one step at a time. */
import { type Group, groupUpdates, type Member } from '../../../src/producer/micro-batch.ts';
import { ask, OUTAGE, type Steps, script, wait } from '../steps.ts';
import { ITEMS, type Item, kindOf } from './kept.ts';
import { type Outcome, type Row, release as releaseRows, replay, type Tables, writeBatch } from './mysql.ts';
import type { Amendment, Batch, Call } from './redis.ts';
import type { World } from './world.ts';

const NUMBERS = 9;
const MOST_PUTS = 3;
const MOST_SENDINGS = 3;

/** What a producer still puts, and how many calls it made. */
export interface Producer {
  readonly name: string;
  calls: number;
  left: number;
}

/** Sends a micro-batch, again after a lost answer, and makes no other call meanwhile. */
export function* produce(world: World, producer: Producer): Steps<void> {
  const { random } = world;
  yield* wait('puts come', () => !world.isCalm && producer.left > 0);
  producer.left--;
  const members = Array.from({ length: 1 + random.below(MOST_PUTS) }, () =>
    memberOf(random.pick(ITEMS), random.below(NUMBERS)),
  );
  const puts = groupUpdates(members).map(group => toPut(group, world));
  const call: Call = { producer: producer.name, number: ++producer.calls, puts };
  for (let sending = 1; sending <= MOST_SENDINGS; sending++)
    try {
      return yield* script(`put ${JSON.stringify(puts)}`, () => world.apply(call));
    } catch (error) {
      if (error !== OUTAGE) throw error;
    }
}

function memberOf(item: Item, amount: number): Member {
  const kind = kindOf(item);
  const update = { kind, name: item, key: '', item, amount, id: '', waits: false, floor: 0, payload: '' };
  return { update, alone: false, accept: () => {} };
}

function toPut({ members, amount }: Group<Member>, { bug }: World): Call['puts'][number] {
  const values = members.map(({ update }) => update.amount);
  return { item: members[0]!.update.item as Item, value: bug === 'microFirst' ? values[0]! : amount, values };
}

/** Claim, commit, ack. */
export function* flush(world: World): Steps<void> {
  const hasWork = () => {
    const { token, waiting, amendments } = world.redis;
    return token !== '' || waiting.length + amendments.length > 0;
  };
  yield* wait('updates wait', hasWork);
  const batch = yield* script('claim', () => world.redis.claim(`t${world.newNumber()}`));
  if (!batch) return;
  const outcome = yield* world.transaction(tables => commit(world, tables, batch));
  if (outcome) yield* script('ack', () => world.redis.ack(batch.token, outcome.reload));
}

function* commit(world: World, tables: Tables, claimed: Batch): Steps<Outcome | undefined> {
  const { bug } = world;
  const inFlight = () => world.redis.token === claimed.token;
  const decision = yield* ask('decide', () => tables.decide(claimed, inFlight()));
  if (decision === 'skip') {
    const { sequence, reload } = tables.journal.get(claimed.token)!;
    return { sequence, reload: bug === 'skipForgets' ? new Set() : reload };
  }
  if (decision === 'stop') return undefined;
  let batch = claimed;
  if (decision === 'rewind' || batch.epoch !== tables.watermark.epoch) {
    const sequence = tables.watermark.sequence + 1;
    batch = { ...claimed, sequence, epoch: `e${world.newNumber()}` };
    const { epoch } = batch;
    if (!(yield* script('rewind', () => world.redis.rewind(claimed, sequence, epoch, bug)))) return undefined;
    if (bug === 'rewindVersion') batch = withNewVersions(world, batch);
  }
  const outcome = yield* ask('write', () => writeBatch(tables, world, batch));
  if (!(yield* ask('ask for the token', inFlight))) return undefined;
  return outcome;
}

function withNewVersions(world: World, batch: Batch): Batch {
  const puts = batch.puts.map(
    ([item, put]) => [item, item[0] === '=' ? { ...put, version: world.newVersion() } : put] as const,
  );
  return { ...batch, puts };
}

export function* align(world: World): Steps<void> {
  const differs = () => {
    const { redis, tables } = world;
    const { epoch, sequence } = tables.watermark;
    return redis.epoch !== epoch || (!redis.token && redis.sequence < sequence);
  };
  yield* wait('sides differ', differs);
  yield* world.transaction(function* (tables) {
    const seen = yield* ask('look', () => (differs() ? { ...world.redis } : undefined));
    if (!seen) return undefined;
    const epoch = `e${world.newNumber()}`;
    const { watermark } = tables;
    const updates = seen.token ? watermark.updates : seen.claimed;
    tables.watermark = { ...watermark, epoch, updates };
    const adopt = () => world.redis.adopt(seen.epoch, epoch, watermark.sequence, world.bug);
    return (yield* script('adopt', adopt)) || undefined;
  });
}

/** A cold read. */
export function* read(world: World): Steps<void> {
  const cold = () => ITEMS.filter(item => !world.redis.live.has(item));
  yield* wait('keys are cold', () => cold().length > 0);
  const item = world.random.pick(cold());
  const found = yield* ask(`read ${item}`, () => {
    const { tables, bug } = world;
    return { stored: tables.stored(item, bug), watermark: tables.watermark };
  });
  yield* script(`load ${item}`, () => world.redis.load(item, found.stored, found.watermark, world.bug));
}

/** A worker that writes held rows. */
export function* release(world: World): Steps<void> {
  const isReleased = ({ item, cause, taken }: Row) =>
    cause === 'held' && !taken && world.moods[item] !== 'holds';
  yield* wait('held rows can go', () => world.tables.quarantine.some(isReleased));
  yield* world.transaction(tables =>
    ask('release', () => {
      releaseRows(tables, world);
      return true;
    }),
  );
}

/** An operator replays a row, or drops or edits it; one that is taken already gets its amendment again. */
export function* operate(world: World): Steps<void> {
  const { random } = world;
  const isSent = ({ id }: Row) =>
    [...world.redis.amendments, ...world.redis.amending].some(({ row }) => row === id);
  const waiting = () =>
    world.tables.quarantine.filter(row =>
      row.taken ? !isSent(row) : row.cause === 'refused' || !world.isCalm,
    );
  yield* wait('an operator decides', () => (world.isCalm || world.operations > 0) && waiting().length > 0);
  world.operations--;
  const { id, taken } = random.pick(waiting());
  if (!taken && (world.isCalm || random.chance(0.4))) {
    yield* world.transaction(tables => ask(`replay ${id}`, () => replay(tables, world, id) || undefined));
    return;
  }
  const to = random.chance(0.5) ? random.below(NUMBERS) : undefined;
  const operation = taken?.operation ?? world.newNumber();
  if (!taken) yield* take(world, id, operation, to);
  yield* ask(`amend ${id}`, () => {
    const row = world.tables.row(id);
    if (row?.taken?.operation !== operation) return;
    const amendment: Amendment = { item: row.item, row: id, operation, ...goal(row.taken.to) };
    world.redis.amend(amendment, row.kept.value, world.bug);
  });
}

function* take(world: World, id: number, operation: number, to: number | undefined): Steps<void> {
  yield* world.transaction(tables =>
    ask(`take ${id}`, () => {
      const row = tables.row(id);
      if (!row || row.taken) return undefined;
      tables.replace({ ...row, taken: { operation, puts: row.kept.puts, ...goal(to) } });
      return true;
    }),
  );
}

function goal(to: number | undefined): { readonly to?: number } {
  return to === undefined ? {} : { to };
}
