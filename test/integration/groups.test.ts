// One flush for a group of partitions: one transaction for its plain batches, the others alone, and the
// trouble of one partition fails no other.

import { describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/shared/clock.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { openQueue, wake } from '../../src/shared/redis/queue.ts';
import { openTables } from '../../src/shared/values/mapping.ts';
import { STEPS, type Step } from '../../src/worker/commit.ts';
import { Flusher } from '../../src/worker/flush.ts';
import { Store } from '../../src/worker/store.ts';
import { definitions, type Engine, keyIn, openEngine, until } from '../support/engine.ts';
import { poison } from '../support/failed.ts';

/** The first of four groups of 16 partitions. */
const GROUP = [0, 4, 8, 12];

/** A key of each partition of the group. */
function keysOf(engine: Engine): string[] {
  return GROUP.map(partition => keyIn(engine.keys, partition));
}

/** Flushes the group and returns what it tells; counts its transactions. */
async function flushGroup(engine: Engine, flusher = engine.flusher, partitions = GROUP) {
  const failed = new Map<number, unknown>();
  let wakes = 0;
  const transaction = vi.spyOn(engine.own.database, 'transaction');
  try {
    const end = await flusher.flushGroup(partitions, {
      failed: (partition, error) => failed.set(partition, error),
      wake: () => wakes++,
    });
    return { ...end, failed, wakes: () => wakes, transactions: transaction.mock.calls.length };
  } finally {
    transaction.mockRestore();
  }
}

/** A store and flusher of their own, with steps that a test may use. */
async function withSeam(engine: Engine, seam: (step: Step) => Promise<void> | void) {
  const { own, flight, aligner, metrics, log, settings } = engine;
  const tables = await openTables(own.database, parseDefinitions(definitions));
  const store = new Store(own.database, tables, flight, settings.journalBatches, seam);
  return new Flusher({ flight, store, aligner, metrics, clock: systemClock, log, settings, seam });
}

/** Nothing waits in the group, and each key counts once. */
async function expectCounts(engine: Engine, counts: Readonly<Record<string, number>>) {
  for (const [key, count] of Object.entries(counts)) {
    expect(await engine.counterInMysql('views', key), key).toBe(count);
    expect(await engine.compare('c', 'views', key), key).toMatchObject({ expected: count });
  }
  for (const partition of GROUP)
    expect(await engine.inspector.partition(partition)).toMatchObject({ pendingUpdates: 0, token: '' });
}

const countsOf = (keys: readonly string[], count: number) =>
  Object.fromEntries(keys.map(key => [key, count]));

function queueOf(engine: Engine) {
  const queue = openQueue(engine.own.redis, engine.keys);
  engine.onClose(() => queue.close());
  return queue;
}

/** A producer whose wake-ups come after the test. */
function quietProducer(engine: Engine) {
  const settings = { ...engine.settings, flushIntervalMs: 60_000, leaseMs: 200_000 };
  return engine.producer({}, { settings });
}

const open = (more: Parameters<typeof openEngine>[0] = {}) => openEngine({ partitions: 16, ...more });

/** An engine with one pending update in each partition of the group. */
async function openPending(more: Parameters<typeof openEngine>[0] = {}) {
  const engine = await open(more);
  const views = (await engine.producer()).counter('views');
  const keys = keysOf(engine);
  for (const key of keys) await views.increment(key);
  return { engine, views, keys };
}

/** How many of the keys are in MySQL. */
async function written(engine: Engine, keys: readonly string[]): Promise<number> {
  const counts = await Promise.all(keys.map(key => engine.counterInMysql('views', key)));
  return counts.filter(Boolean).length;
}

it('a flush of a group writes all of its partitions in one transaction', async () => {
  const engine = await open();
  const sluice = await engine.producer();
  const keys = keysOf(engine);
  for (const key of keys) {
    for (let n = 0; n < 3; n++) await sluice.counter('views').increment(key);
    await sluice.points('loyalty').credit(key, 5, { id: '1', reason: 'why' });
    await sluice.points('loyalty').credit(key, 7, { id: '2', metadata: { n: 1 } });
    await sluice.points('credits').debit(key, 1, { id: '1' });
  }
  expect(await flushGroup(engine)).toMatchObject({
    more: false,
    flushed: new Set(GROUP),
    failed: new Map(),
    transactions: 1,
  });
  await expectCounts(engine, countsOf(keys, 3));
  for (const [at, key] of keys.entries()) {
    expect(await engine.balanceInMysql('loyalty', key)).toBe(12);
    expect(await engine.balanceInMysql('credits', key)).toBe(-1);
    expect(await engine.compare('p', 'loyalty', key)).toMatchObject({ expected: 12, live: 12 });
    expect(
      (await sluice.points('loyalty').history(key)).map(entry => [entry.id, entry.balanceAfter]),
    ).toEqual([
      ['2', 12],
      ['1', 5],
    ]);
    const partition = GROUP[at]!;
    const rows = await engine.database.query(
      'SELECT b.sequence, b.entries, b.updates, b.outcome, p.updates AS claimed FROM sluice_batches b JOIN sluice_partitions p USING (partition_id) WHERE partition_id = ? AND p.token = b.token AND p.sequence = b.sequence',
      [partition],
    );
    expect(
      rows.map(({ entries, updates, claimed }) => [Number(entries), Number(updates), Number(claimed)]),
    ).toEqual([[3, 6, 6]]);
    const outcome = JSON.parse(
      typeof rows[0]!.outcome === 'string' ? rows[0]!.outcome : JSON.stringify(rows[0]!.outcome),
    );
    expect(outcome).toEqual({
      late: [],
      reload: [],
      quarantined: 0,
      held: 0,
      quarantinedBefore: 0,
      popped: 1,
      rows: 6,
    });
  }
  const ledger = await engine.database.query(
    'SELECT partition_id, ledger_no FROM sluice_entries ORDER BY 1, 2',
  );
  expect(ledger.map(row => [Number(row.partition_id), Number(row.ledger_no) - 65_536])).toEqual(
    GROUP.flatMap(partition => [0, 1, 2].map(position => [partition, position])),
  );
  const { metrics } = engine;
  expect((await metrics.flushedRows.get()).values[0]!.value).toBe(4 * 6);
  expect((await metrics.flushedUpdates.get()).values[0]!.value).toBe(4 * 6);
  const observed = (await metrics.flushDuration.get()).values.find(({ metricName }) =>
    metricName?.endsWith('_count'),
  );
  expect(observed!.value).toBe(4);
});

it('a producer adds one job for all partitions of a group', async () => {
  const engine = await open();
  const sluice = await engine.producer();
  const keys = Array.from({ length: 400 }, (_, n) => ({ counter: 'views', key: `k${n}` }) as const);
  await sluice.apply(keys);
  const queue = queueOf(engine);
  await until(async () => (await queue.getWaitingCount()) === 4, 'the jobs');
  const jobs = await queue.getJobs(['waiting']);
  expect(jobs.map(({ data }) => data.group).toSorted()).toEqual([0, 1, 2, 3]);
  for (const { data } of jobs) expect(data.partition % 4).toBe(data.group);
  await engine.worker();
  await until(
    async () => (await engine.inspector.all()).every(({ lagSeconds }) => lagSeconds === 0),
    'all to be flushed',
  );
});

describe('a batch goes alone, and the others of its group together', () => {
  it('if its watermark is locked', async () => {
    const engine = await open({ lockWaitSeconds: 30 });
    const views = (await engine.producer()).counter('views');
    const keys = keysOf(engine);
    for (const key of keys) await views.increment(key);
    let flush!: ReturnType<typeof flushGroup>;
    await engine.database.transaction(async connection => {
      await connection.query('SELECT * FROM sluice_partitions WHERE partition_id = 8 FOR UPDATE');
      flush = flushGroup(engine);
      await until(async () => (await written(engine, keys)) === 3, 'the other partitions');
      expect(await engine.counterInMysql('views', keys[2]!)).toBe(0);
    });
    expect((await flush).transactions).toBe(2);
    await until(() => !engine.flusher.isBusy(8), 'the locked partition');
    await expectCounts(engine, countsOf(keys, 1));
  });

  it('if it was in flight already, and is then claimed once more', async () => {
    const { engine, views, keys } = await openPending();
    await engine.flight.claim(4);
    await views.increment(keys[1]!);
    expect((await flushGroup(engine)).transactions).toBe(3);
    await expectCounts(engine, { ...countsOf(keys, 1), [keys[1]!]: 2 });
  });

  it.each([
    ['not if it has several pages', 700, 1],
    ['if it is long', 2100, 2],
  ])('%s', async (_, length, transactions) => {
    const engine = await open();
    const sluice = await engine.producer();
    const keys = keysOf(engine);
    const many = Array.from({ length: 40_000 }, (_, n) => `m${n}`)
      .filter(key => engine.keys.partitionOf(key) === 12)
      .slice(0, length);
    await sluice.apply([...keys, ...many].map(key => ({ counter: 'views', key })));
    expect(await flushGroup(engine)).toMatchObject({ transactions, flushed: new Set(GROUP) });
    await expectCounts(engine, { ...countsOf(keys, 1), [many[length - 1]!]: 1 });
  });

  it('if its epoch is not that of the watermark', async () => {
    const { engine, keys } = await openPending();
    await engine.database.query("UPDATE sluice_partitions SET epoch = 'other' WHERE partition_id = 4");
    expect((await flushGroup(engine)).transactions).toBe(2);
    await expectCounts(engine, countsOf(keys, 1));
    const { epoch } = await engine.watermark(4);
    expect(epoch).toBe(await engine.redis.hget(engine.keys.state(4), 'epoch'));
    expect(epoch).not.toBe('other');
  });

  it('if Redis forgot updates that MySQL has, which are declared', async () => {
    const { engine } = await openPending();
    await engine.database.query('UPDATE sluice_partitions SET updates = 3 WHERE partition_id = 4');
    expect((await flushGroup(engine)).transactions).toBe(2);
    const losses = await engine.database.query('SELECT partition_id, kind, updates FROM sluice_losses');
    expect(losses.map(row => [Number(row.partition_id), row.kind, Number(row.updates)])).toEqual([
      [4, 'doubled', 3],
    ]);
    expect((await engine.watermark(4)).sequence).toBe(1);
  });

  it('if entries of its partition are in quarantine, whose ids Redis may have forgotten', async () => {
    const engine = await open();
    const loyalty = (await engine.producer()).points('loyalty');
    const keys = keysOf(engine);
    await poison(engine);
    await loyalty.credit(keys[1]!, 5, { id: 'bad' });
    await engine.flusher.flush(4);
    await engine.redis.del(engine.keys.of(4, 'ids'));
    await engine.database.query('DROP TRIGGER bad_entries');
    for (const key of keys) await loyalty.credit(key, 5, { id: 'bad' });
    // A process that knows nothing of the quarantine.
    const flusher = await withSeam(engine, () => {});
    expect((await flushGroup(engine, flusher)).transactions).toBe(2);
    expect(await engine.balanceInMysql('loyalty', keys[1]!)).toBe(0);
    expect(await engine.balanceInMysql('loyalty', keys[0]!)).toBe(5);
    expect(await loyalty.balance(keys[1]!)).toBe(5);
  });
});

describe('all go alone', () => {
  it('if MySQL refuses a row, and later only the partition that had it', async () => {
    const engine = await open();
    const sluice = await engine.producer();
    const keys = keysOf(engine);
    await poison(engine);
    const bad = keyIn(engine.keys, 8, 'bad');
    await sluice.apply([...keys, bad].map(key => ({ counter: 'views', key })));
    // One together, four alone, of which one once more with care.
    expect(await flushGroup(engine)).toMatchObject({
      transactions: 6,
      failed: new Map(),
      flushed: new Set(GROUP),
    });
    const quarantine = await engine.database.query('SELECT partition_id, item_key FROM sluice_quarantine');
    expect(quarantine.map(row => [Number(row.partition_id), String(row.item_key)])).toEqual([[8, bad]]);
    await expectCounts(engine, countsOf(keys, 1));
    await sluice.apply(keys.map(key => ({ counter: 'views', key })));
    expect((await flushGroup(engine)).transactions).toBe(2);
    await expectCounts(engine, countsOf(keys, 2));
  });

  it('if an entry is in the ledger already', async () => {
    const engine = await open();
    const loyalty = (await engine.producer()).points('loyalty');
    const keys = keysOf(engine);
    for (const key of keys) await loyalty.credit(key, 5, { id: '1' });
    await flushGroup(engine);
    await engine.redis.del(engine.keys.of(12, 'ids'));
    for (const key of keys) await loyalty.credit(key, 5, { id: key === keys[3] ? '1' : '2' });
    expect(await flushGroup(engine)).toMatchObject({ transactions: 6, failed: new Map() });
    for (const key of keys.slice(0, 3)) expect(await engine.balanceInMysql('loyalty', key)).toBe(10);
    expect(await engine.balanceInMysql('loyalty', keys[3]!)).toBe(5);
    expect(await loyalty.balance(keys[3]!)).toBe(5);
    expect((await engine.metrics.lateDuplicates.get()).values[0]!.value).toBe(1);
  });

  it('if one batch is not in flight any more, which is then not written', async () => {
    const { engine, keys } = await openPending();
    let attempts = 0;
    const flusher = await withSeam(engine, async step => {
      if (step !== 'recorded' || attempts++ > 0) return;
      // Redis seems to have lost the claim.
      const token = (await engine.redis.hget(engine.keys.state(4), 'token'))!;
      const batch = { partition: 4, token, entries: [] as unknown } as Parameters<Engine['flight']['ack']>[0];
      await engine.flight.ack(batch, { late: [], quarantined: 0 });
    });
    expect(await flushGroup(engine, flusher)).toMatchObject({ failed: new Map(), transactions: 5 });
    for (const [at, key] of keys.entries())
      expect(await engine.counterInMysql('views', key)).toBe(at === 1 ? 0 : 1);
    expect((await engine.watermark(4)).sequence).toBe(0);
  });

  it('if a row claims an outage, which is not taken for one', async () => {
    const engine = await open();
    const sluice = await engine.producer();
    const keys = keysOf(engine);
    const forge = "SIGNAL SQLSTATE '08S01' SET MYSQL_ERRNO = 1053";
    await engine.database.query(
      `CREATE TRIGGER forger BEFORE INSERT ON sluice_counters FOR EACH ROW IF NEW.counter_key LIKE 'bad%' THEN ${forge}; END IF`,
    );
    await sluice.apply([...keys, keyIn(engine.keys, 8, 'bad')].map(key => ({ counter: 'views', key })));
    expect(await flushGroup(engine)).toMatchObject({ failed: new Map(), flushed: new Set(GROUP) });
    expect(await engine.database.query('SELECT item_key FROM sluice_quarantine')).toHaveLength(1);
    await expectCounts(engine, countsOf(keys, 1));
  });

  it('if the transaction meets a deadlock', async () => {
    const { engine, keys } = await openPending();
    let attempts = 0;
    const flusher = await withSeam(engine, step => {
      if (step === 'written' && attempts++ === 0)
        throw Object.assign(new Error('deadlock'), {
          errno: 1213,
          code: 'ER_LOCK_DEADLOCK',
          sqlState: '40001',
        });
    });
    expect(await flushGroup(engine, flusher)).toMatchObject({ failed: new Map(), transactions: 5 });
    await expectCounts(engine, countsOf(keys, 1));
  });
});

describe('a commit without an answer', () => {
  it.each(['before', 'after'] as const)('%s MySQL carried it out: each update counts once', async when => {
    const { engine, keys } = await openPending();
    const lost = Object.assign(new Error('lost'), { code: 'PROTOCOL_CONNECTION_LOST', fatal: true });
    const { database } = engine.own;
    const transaction = database.transaction.bind(database);
    const spy = vi.spyOn(database, 'transaction').mockImplementationOnce(async use => {
      await transaction(async connection => {
        await use(connection);
        if (when === 'before') throw lost;
      });
      throw lost;
    });
    const listener = { failed: () => {}, wake: () => {} };
    await expect(engine.flusher.flushGroup(GROUP, listener)).rejects.toBe(lost);
    spy.mockRestore();
    expect(await engine.counterInMysql('views', keys[0]!)).toBe(when === 'before' ? 0 : 1);
    expect(await flushGroup(engine)).toMatchObject({
      failed: new Map(),
      flushed: new Set(GROUP),
      transactions: 4,
    });
    await expectCounts(engine, countsOf(keys, 1));
    expect((await engine.metrics.skippedBatches.get()).values[0]!.value).toBe(when === 'before' ? 0 : 4);
  });
});

it.each(STEPS)('after a crash at the step "%s" another flush counts each update once', async step => {
  const engine = await open();
  const sluice = await engine.producer();
  const keys = keysOf(engine);
  await sluice.apply(keys.map(key => ({ counter: 'views', key })));
  engine.crashAt(step);
  await flushGroup(engine).catch(() => {});
  engine.crashAt(undefined);
  await sluice.apply(keys.map(key => ({ counter: 'views', key })));
  const flusher = await withSeam(engine, () => {});
  await flushGroup(engine, flusher);
  await expectCounts(engine, countsOf(keys, 2));
});

it('does not wait for a partition that is busy in this process, and is woken when that flush ends', async () => {
  const engine = await open();
  const views = (await engine.producer()).counter('views');
  const keys = keysOf(engine);
  const held = Promise.withResolvers<void>();
  let isHeld = false;
  const flusher = await withSeam(engine, step => {
    if (step !== 'claimed' || isHeld) return;
    isHeld = true;
    return held.promise;
  });
  await views.increment(keys[0]!);
  const busy = flusher.flush(0);
  await until(() => isHeld, 'the flush of one partition');
  for (const key of keys) await views.increment(key);
  const end = await flushGroup(engine, flusher);
  expect(end).toMatchObject({ more: false, flushed: new Set([4, 8, 12]), transactions: 1 });
  expect(end.wakes()).toBe(0);
  held.resolve();
  await busy;
  await until(() => end.wakes() === 1, 'the wake-up');
  await flushGroup(engine, flusher);
  await expectCounts(engine, { ...countsOf(keys, 1), [keys[0]!]: 2 });
});

it('a claim that fails for one partition is told, and the others are flushed', async () => {
  const { engine, keys } = await openPending();
  await engine.redis.hset(engine.keys.state(4), 'deployment', 'another');
  const { failed, flushed, transactions } = await flushGroup(engine);
  expect([...failed.keys()]).toEqual([4]);
  expect(flushed).toEqual(new Set([0, 8, 12]));
  expect(transactions).toBe(1);
  for (const [at, key] of keys.entries())
    expect(await engine.counterInMysql('views', key)).toBe(at === 1 ? 0 : 1);
});

it('accounts below their floor are counted as in a flush of one partition', async () => {
  const engine = await open();
  const loyalty = (await engine.producer()).points('loyalty');
  const keys = keysOf(engine);
  for (const key of keys) await loyalty.credit(key, 10, { id: '1' });
  await flushGroup(engine);
  // Redis seems to have forgotten debits that MySQL has.
  for (const key of keys.slice(0, 2))
    await engine.database.query('UPDATE sluice_accounts SET balance = 1 WHERE account = ?', [
      Buffer.from(key),
    ]);
  for (const key of keys) await loyalty.debit(key, 5, { id: '2' });
  expect((await flushGroup(engine)).transactions).toBe(1);
  const { values } = await engine.metrics.belowFloor.get();
  expect(values.find(({ labels }) => labels.program === 'loyalty')!.value).toBe(2);
});

describe('a worker', () => {
  it('flushes a group whose one partition is halted, and shows the halt as a failed job of that partition', async () => {
    const { engine, views, keys } = await openPending({ stuckAfterMs: 600_000 });
    await flushGroup(engine);
    await engine.worker();
    await engine.database.query(
      "UPDATE sluice_partitions SET sequence = 0, token = '' WHERE partition_id = 8",
    );
    const others = keys.filter(key => key !== keys[2]);
    for (let n = 1; n <= 3; n++) {
      await views.increment(keys[2]!);
      const receipts = await Promise.all(others.map(key => views.increment(key)));
      await Promise.all(receipts.map(receipt => receipt.persisted()));
    }
    expect(await engine.counterInMysql('views', keys[2]!)).toBe(1);
    const queue = queueOf(engine);
    await until(async () => (await queue.getFailedCount()) === 1, 'the failed job');
    const [job] = await queue.getFailed();
    expect(job!.data).toEqual({ partition: 8, attempts: 1 });
    expect(job!.failedReason).toMatch(/partition 8/i);
  });

  it('flushes a group once an interval, however many producers wake it', async () => {
    const engine = await open({ stuckAfterMs: 600_000 });
    const [key] = keysOf(engine) as [string];
    const quiet = await quietProducer(engine);
    const worker = await engine.worker({ flushIntervalMs: 60_000 });
    const queue = queueOf(engine);
    const jobs = () => queue.getJobCountByTypes('waiting', 'active');
    const receipt = await quiet.counter('views').increment(key);
    await wake(queue, { partition: 0, group: 0 });
    await receipt.persisted();
    await quiet.counter('views').increment(key);
    await wake(queue, { partition: 4, group: 0 });
    await until(async () => (await jobs()) === 0, 'the second job to end');
    expect(await engine.counterInMysql('views', key)).toBe(1);
    // It waits in this process, and goes to others when the process ends.
    await worker.stop();
    expect(await jobs()).toBe(1);
  });

  it('takes jobs of former versions, which name a partition and no group', async () => {
    const engine = await open({ stuckAfterMs: 600_000 });
    const [key] = keysOf(engine) as [string];
    const quiet = await quietProducer(engine);
    const receipt = await quiet.counter('views').increment(key);
    await engine.worker();
    const queue = queueOf(engine);
    await queue.add(
      'flush',
      { partition: 0 },
      { deduplication: { id: 'partition-0', keepLastIfActive: true } },
    );
    await receipt.persisted();
    expect(await engine.counterInMysql('views', key)).toBe(1);
  });

  it('retries a partition that fails with a job of its own, while its group goes on', async () => {
    const engine = await open({ stuckAfterMs: 600_000, backoffBaseMs: 50, backoffCapMs: 200 });
    const keys = keysOf(engine);
    const quiet = await quietProducer(engine);
    for (const key of keys) await quiet.counter('views').increment(key);
    const worker = await engine.worker();
    const state = engine.keys.state(4);
    const deployment = (await engine.redis.hget(state, 'deployment'))!;
    await engine.redis.hset(state, 'deployment', 'another');
    await wake(queueOf(engine), { partition: 0, group: 0 });
    await until(async () => (await written(engine, keys)) === 3, 'the other partitions');
    await until(async () => {
      const { values } = await worker.metrics.flushRetries.get();
      return values.some(({ labels, value }) => labels.class === 'other' && value > 1);
    }, 'retries');
    await engine.redis.hset(state, 'deployment', deployment);
    await until(async () => (await written(engine, keys)) === 4, 'the partition');
    await expectCounts(engine, countsOf(keys, 1));
  });
});
