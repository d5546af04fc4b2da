/** A worker: the flush, the sweep of holds past their time, cold reads, alignment, the release of held rows. */
import { ask, type Steps, script, wait } from '../steps.ts';
import { type Outcome, release as releaseRows, writeBatch } from './mysql.ts';
import { HOLDS } from './record.ts';
import type { Batch } from './redis.ts';
import type { Transaction, World } from './world.ts';

/** Claim, commit, ack. */
export function* flush(world: World): Steps<void> {
  yield* wait('updates wait', () => world.redis.entries.length > 0);
  const batch = yield* script('claim', () => world.claim());
  if (!batch) return;
  const outcome = yield* world.transaction(transaction => commit(world, transaction, batch));
  if (outcome) yield* script('ack', () => world.redis.ack(batch.token, outcome));
}

function* commit(world: World, transaction: Transaction, claimed: Batch): Steps<Outcome | undefined> {
  const inFlight = () => world.redis.token === claimed.token;
  const decision = yield* world.statement(transaction, 'decide', tables =>
    tables.decide(claimed, inFlight()),
  );
  const { journal, watermark } = transaction.tables;
  if (decision === 'skip') {
    const outcome = journal.get(claimed.token) ?? NOTHING;
    return world.bug === 'skipForgets' ? { ...outcome, reload: new Set(), gone: new Set() } : outcome;
  }
  if (decision === 'stop' || decision === 'halt-database') return undefined;
  let batch = claimed;
  // A journal that was restored may be too short. The first model has the recovery from that.
  if (decision !== 'apply' || batch.epoch !== watermark.epoch) {
    const sequence = watermark.sequence + 1;
    batch = { ...claimed, sequence, epoch: `e${world.newNumber()}` };
    const { epoch } = batch;
    if (!(yield* script('rewind', () => world.redis.rewind(claimed, sequence, epoch)))) return undefined;
  }
  const outcome = yield* world.statement(transaction, 'write', tables => writeBatch(tables, world, batch));
  if (!(yield* ask('ask for the token', inFlight))) return undefined;
  return outcome;
}

const NOTHING: Outcome = { sequence: 0, reload: new Set(), gone: new Set() };

/** Expires holds past their time. The rows are read with the watermark. */
export function* sweep(world: World): Steps<void> {
  const due = (time: number) =>
    [...world.tables.holds].flatMap(([hold, { state, amount, more }]) =>
      state === 'o' && more > 0 && more <= time ? [{ hold, amount, expires: more }] : [],
    );
  yield* wait('holds are past their time', () => due(world.redis.clock).length > 0 || wakes(world));
  const ahead = world.bug === 'ownClock' ? 30 : 0;
  const time = yield* ask('ask for the time', () => world.redis.clock + ahead);
  const found = yield* ask('read rows and watermark', () => ({
    rows: due(time),
    watermark: world.tables.watermark,
  }));
  yield* script(`expire ${found.rows.map(({ hold }) => hold)}`, () =>
    world.expire(found.rows, found.watermark),
  );
}

function wakes({ bug, tables }: World): boolean {
  return (
    bug === 'ownClock' && [...tables.holds.values()].some(({ state, more }) => state === 'o' && more > 0)
  );
}

/** A cold read of the account, of records, or of both. */
export function* read(world: World): Steps<void> {
  const cold = () => ['account', ...HOLDS].filter(field => !world.redis.live(field));
  yield* wait('live values are absent', () => cold().length > 0);
  const fields = cold();
  const wanted = world.random.chance(0.7) ? fields : [world.random.pick(fields)];
  yield* load(world, wanted);
}

export function* load(world: World, fields: readonly string[]): Steps<void> {
  const found = yield* ask(`read ${fields}`, () => world.tables.read(fields));
  yield* script(`load ${fields}`, () => world.redis.load(found));
}

export function* align(world: World): Steps<void> {
  const differs = () => {
    const { redis } = world;
    const { watermark } = world.tables;
    if (redis.isAhead(watermark)) return false;
    return redis.epoch !== watermark.epoch || (!redis.token && redis.sequence < watermark.sequence);
  };
  yield* wait('sides differ', differs);
  yield* world.transaction(function* (transaction) {
    const seen = yield* world.statement(transaction, 'look', () =>
      differs() ? world.redis.epoch : undefined,
    );
    if (seen === undefined) return undefined;
    const epoch = `e${world.newNumber()}`;
    const { sequence } = transaction.tables.watermark;
    yield* world.statement(transaction, 'new epoch', tables => {
      tables.watermark = { ...tables.watermark, epoch };
    });
    return (yield* script('adopt', () => world.redis.adopt(seen, epoch, sequence))) || undefined;
  });
}

/** `sluice recover --yes` after MySQL went back. */
export function* recover(world: World): Steps<void> {
  yield* wait(
    'the partition is halted',
    () => world.redis.isAhead(world.tables.watermark) && !world.isLocked,
  );
  yield* ask('recover', () => {
    if (world.redis.isAhead(world.tables.watermark) && !world.isLocked) world.recover();
  });
}

/** Writes held rows. */
export function* release(world: World): Steps<void> {
  const isHeld = () => world.tables.quarantine.some(({ cause }) => cause === 'held');
  yield* wait('held rows can go', () => world.mood !== 'holds' && isHeld());
  yield* world.transaction(transaction =>
    world.statement(transaction, 'release', tables => {
      if (world.mood === 'holds') return undefined;
      releaseRows(tables, world);
      return true;
    }),
  );
}
