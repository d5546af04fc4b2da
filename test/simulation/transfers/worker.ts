/** A worker: the flush of a partition with the credits behind it, the sweep of rows, cold reads, alignment. */
import { ask, OUTAGE, type Steps, script, Wrong, wait } from '../steps.ts';
import { BatchWriting, decide, type Transaction, type TransferRow, type Watermark } from './mysql.ts';
import type { Batch, Entry } from './redis.ts';
import { ACCOUNTS, PARTITIONS, partitionOf, type World } from './world.ts';

/** Rows with the watermark of their partition, as it was while they were open. */
interface Credits {
  readonly partition: number;
  readonly rows: readonly TransferRow[];
  readonly watermark: Watermark;
}

interface Committed {
  readonly reload: ReadonlySet<string>;
  /** The new rows. */
  readonly rows: readonly TransferRow[];
  readonly credits: readonly Credits[];
}

const PAGE = 2;
const MOST_ATTEMPTS = 6;

function hasWork(world: World, partition: number): boolean {
  const { token, pending } = world.redis[partition]!;
  return token !== '' || pending.length > 0;
}

/** Claim, commit, ack; the credits are sent before or after the ack. */
export function* flush(world: World): Steps<void> {
  const { random, bug } = world;
  yield* wait('updates wait', () => PARTITIONS.some(partition => hasWork(world, partition)));
  const busy = PARTITIONS.filter(partition => hasWork(world, partition));
  if (busy.length > 1 && random.chance(0.4)) return yield* flushTogether(world);
  const partition = random.pick(busy);
  const batch = yield* script(`claim ${partition}`, () => claim(world, partition));
  if (!batch) return;
  const committed = yield* world.transaction(transaction => commit(world, transaction, batch));
  if (!committed) return;
  const credits = yield* creditsOf(world, committed);
  const sendsFirst = random.chance(0.5);
  if (sendsFirst) yield* send(world, credits);
  yield* script(`ack ${partition}`, () => world.redis[partition]!.ack(batch.token, committed.reload, bug));
  if (!sendsFirst) yield* send(world, credits);
}

/** The flush of a group. Batches that cannot be written as they are stay in flight for a flush that goes alone. */
function* flushTogether(world: World): Steps<void> {
  const batches: Batch[] = [];
  for (const partition of PARTITIONS) {
    const batch = yield* script(`claim ${partition}`, () => claim(world, partition));
    if (!batch) return;
    batches.push(batch);
  }
  const committed = yield* world.transaction(transaction => commitTogether(world, transaction, batches));
  if (!committed) return;
  const credits = yield* creditsOf(world, committed);
  const sendsFirst = world.random.chance(0.5);
  if (sendsFirst) yield* send(world, credits);
  for (const { partition, token } of batches)
    yield* script(`ack ${partition}`, () => world.redis[partition]!.ack(token, new Set(), world.bug));
  if (!sendsFirst) yield* send(world, credits);
}

function* commitTogether(
  world: World,
  transaction: Transaction,
  batches: readonly Batch[],
): Steps<Committed | undefined> {
  for (const partition of PARTITIONS) yield* world.lock(transaction, partition);
  const rows = yield* world.statement(transaction, 'write together', () => {
    const isPlain = batches.every(batch => {
      const { sequence, epoch } = world.watermark(batch.partition);
      const { credits, debits } = world.moods[batch.partition]!;
      const isTaken = credits === 'takes' && debits === 'takes';
      return isTaken && batch.sequence === sequence + 1 && batch.epoch === epoch;
    });
    if (!isPlain) return undefined;
    const newRow = () => world.newRow();
    const writings = batches.map(batch => {
      const writing = new BatchWriting(transaction, world.moods[batch.partition]!, newRow, world.bug);
      writing.write(batch);
      return writing;
    });
    // What is left out needs the live values deleted.
    if (world.bug !== 'leftOutTogether' && writings.some(({ reload }) => reload.size > 0)) return undefined;
    return writings.flatMap(writing => writing.rows);
  });
  if (!rows) return undefined;
  const credits = yield* readWatermarks(world, transaction, rows);
  if (world.bug === 'creditBeforeCommit') yield* send(world, credits);
  const inFlight = () => batches.every(({ partition, token }) => world.redis[partition]!.token === token);
  if (!(yield* ask('ask for the tokens', inFlight))) return undefined;
  return { reload: new Set(), rows, credits };
}

function claim(world: World, partition: number): Batch | undefined {
  const batch = world.redis[partition]!.claim(partition, world.fresh('t'));
  if (world.hasBarrier) world.replicate(partition);
  return batch;
}

function* commit(world: World, transaction: Transaction, claimed: Batch): Steps<Committed | undefined> {
  const { partition } = claimed;
  const inFlight = () => world.redis[partition]!.token === claimed.token;
  yield* world.lock(transaction, partition);
  const { decision, watermark, outcome } = yield* world.statement(transaction, 'decide', () => ({
    decision: decide(claimed, world.tables, partition, inFlight()),
    watermark: world.watermark(partition),
    outcome: world.tables.journals[partition]!.get(claimed.token),
  }));
  if (decision === 'stop') return undefined;
  if (decision === 'skip') return { reload: outcome?.reload ?? new Set(), rows: [], credits: [] };
  if (decision === 'halt-database') throw OUTAGE;
  let batch = claimed;
  // A journal that was restored may be too short. The other model has the recovery from that.
  if (decision !== 'apply' || batch.epoch !== watermark.epoch) {
    batch = { ...claimed, sequence: watermark.sequence + 1, epoch: world.fresh('e') };
    if (!(yield* script('rewind', () => world.rewind(claimed, batch)))) return undefined;
  }
  const moods = { ...world.moods[partition]! };
  const writing = new BatchWriting(transaction, moods, () => world.newRow(), world.bug);
  yield* world.statement(transaction, 'write', () => writing.write(batch));
  const { reload, rows } = writing;
  const credits = yield* readWatermarks(world, transaction, rows);
  if (world.bug === 'creditBeforeCommit') yield* send(world, credits);
  if (!(yield* ask('ask for the token', inFlight))) return undefined;
  return { reload, rows, credits };
}

/** Behind the move of the own watermark. */
function* readWatermarks(
  world: World,
  transaction: Transaction,
  rows: readonly TransferRow[],
): Steps<Credits[]> {
  if (rows.length === 0 || world.bug === 'watermarkAfterCommit') return [];
  return yield* world.statement(transaction, 'read watermarks', () =>
    rows.map(row => {
      const partition = partitionOf(row.account);
      return { partition, rows: [row], watermark: transaction.sees.watermarks[partition]! };
    }),
  );
}

/** After the commit; other than as the bugs have it, nothing is left to do. */
function* creditsOf(world: World, { rows, credits }: Committed): Steps<readonly Credits[]> {
  if (world.bug === 'rowAfterCommit')
    for (const row of rows)
      yield* ask('insert row', () => world.autocommit(({ transfers }) => transfers.set(row.transfer, row)));
  if (world.bug !== 'watermarkAfterCommit' || rows.length === 0) return credits;
  return yield* ask('read watermarks', () =>
    rows.map(row => {
      const partition = partitionOf(row.account);
      return { partition, rows: [row], watermark: world.watermark(partition) };
    }),
  );
}

function* send(world: World, credits: readonly Credits[]): Steps<void> {
  // As if the worker died here.
  if (world.isCrowded) return;
  for (const some of credits) yield* script(`credit ${some.partition}`, () => credit(world, some));
}

function credit(world: World, { partition, rows, watermark }: Credits): 'again' | readonly Entry[] {
  const sent = world.redis[partition]!.credit(rows, watermark, world.bug);
  if (sent !== 'again' && world.stale.has(partition)) for (const entry of sent) world.excused.add(entry);
  return sent;
}

/** Drives open rows of one partition; the third time with the watermark held. */
export function* sweep(world: World): Steps<void> {
  const waiting = (partition: number) =>
    [...world.tables.transfers.values()].filter(
      ({ account, state }) =>
        partitionOf(account) === partition && (state === 'open' || world.bug === 'driveAside'),
    );
  const isWaiting = (partition: number) => world.bug !== 'noSweep' && waiting(partition).length > 0;
  yield* wait('rows wait', () => PARTITIONS.some(isWaiting));
  const partition = world.random.pick(PARTITIONS.filter(isWaiting));
  const read = () => {
    const rows = waiting(partition);
    const from = world.random.below(Math.max(1, rows.length - PAGE + 1));
    return { partition, rows: rows.slice(from, from + PAGE), watermark: world.watermark(partition) };
  };
  for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt++) {
    const holds = attempt > 2 && world.bug !== 'neverLocked';
    const reply = holds
      ? yield* world.transaction(transaction => driveHolding(world, transaction, partition, read))
      : yield* drive(world, read);
    if (reply !== 'again') return;
  }
  if (world.isCrowded) throw new Wrong('the sweep is refused again and again');
}

function* drive(world: World, read: () => Credits): Steps<'again' | readonly Entry[]> {
  let found = yield* ask('read rows and watermark', read);
  const { partition } = found;
  if (world.bug === 'rowsThenWatermark')
    found = { ...found, watermark: yield* ask('read watermark', () => world.watermark(partition)) };
  if (world.isCrowded)
    yield* wait(
      'the destination commits',
      () => world.watermark(partition) !== found.watermark || world.crowd === 0,
    );
  return yield* script(`credit ${partition}`, () => credit(world, found));
}

function* driveHolding(
  world: World,
  transaction: Transaction,
  partition: number,
  read: () => Credits,
): Steps<'again' | readonly Entry[]> {
  yield* world.lock(transaction, partition);
  const found = yield* world.statement(transaction, 'read rows and watermark', read);
  return yield* script(`credit ${partition}`, () => credit(world, found));
}

/** A cold read. */
export function* read(world: World): Steps<void> {
  const cold = () =>
    PARTITIONS.flatMap(partition =>
      Object.keys(ACCOUNTS[partition]!).filter(account => !world.redis[partition]!.live.has(account)),
    );
  yield* wait('accounts are cold', () => cold().length > 0);
  const account = world.random.pick(cold());
  const partition = partitionOf(account);
  const [value, watermark] = yield* ask(
    `read ${account}`,
    () => [world.tables.valueOf(account), world.watermark(partition)] as const,
  );
  yield* script(`load ${account}`, () => world.redis[partition]!.load(account, value, watermark));
}

export function* align(world: World): Steps<void> {
  const differs = (partition: number) => {
    const redis = world.redis[partition]!;
    const { epoch, sequence } = world.watermark(partition);
    if (redis.isAhead(world.watermark(partition))) return false;
    return redis.epoch !== epoch || (!redis.token && redis.sequence < sequence);
  };
  yield* wait('sides differ', () => PARTITIONS.some(differs));
  const partition = world.random.pick(PARTITIONS.filter(differs));
  yield* world.transaction(function* (transaction) {
    yield* world.lock(transaction, partition);
    const seen = yield* ask(`look at ${partition}`, () =>
      differs(partition) ? world.redis[partition]!.epoch : undefined,
    );
    if (seen === undefined) return undefined;
    const epoch = world.fresh('e');
    const { sequence } = world.watermark(partition);
    yield* world.statement(transaction, 'new epoch', () =>
      transaction.write(({ watermarks }) => {
        watermarks[partition] = { ...watermarks[partition]!, epoch };
      }),
    );
    const isAdopted = yield* script('adopt', () => world.adopt(partition, seen, epoch, sequence));
    return isAdopted || undefined;
  });
}

/** `sluice recover --yes` of a partition whose database went back. */
export function* recover(world: World): Steps<void> {
  const isHalted = (partition: number) =>
    world.redis[partition]!.isAhead(world.watermark(partition)) && !world.isLocked(partition);
  yield* wait('a partition is halted', () => PARTITIONS.some(isHalted));
  yield* ask('recover', () => {
    for (const partition of PARTITIONS.filter(isHalted)) world.recover(partition);
  });
}
