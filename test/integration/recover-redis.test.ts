// `sluice recover` after Redis was restored from an old backup: the fate of counters, and what is declared.

import { describe, expect, it } from 'vitest';
import type { CounterHandle } from '../../src/producer/counter-handle.ts';
import { Sides } from '../../src/recovery/evidence.ts';
import { Recovery } from '../../src/recovery/recover.ts';
import { readLosses } from '../../src/shared/partition/losses.ts';
import type { CommitResult } from '../../src/worker/commit.ts';
import type { Outcome } from '../../src/worker/journal.ts';
import { backUpRedis, contents, declared, openWithCommand, recoveryOf } from '../support/backup.ts';
import { Crash, type Engine, until } from '../support/engine.ts';

const request = { operator: 'test' };
const flush = (engine: Engine) => engine.flusher.flush(0).catch(error => error);

/** State of the old counters in the backup. */
type Where =
  | 'pending'
  | 'in flight'
  | 'in flight and in the rest of its segment'
  | 'in the rest of a segment';

/** Flushes five batches more, and prunes the journal behind them as a worker does after at least 100. */
async function forgetJournal(engine: Engine, views: CounterHandle) {
  for (let i = 0; i < 5; i++) {
    await views.increment('k');
    await engine.flusher.flush(0);
  }
  await engine.database.query(
    'DELETE b FROM sluice_batches b JOIN sluice_partitions p USING (partition_id) WHERE b.sequence < p.sequence',
  );
}

/** Backs up Redis with pending updates; restores it once the journal has forgotten their batches. */
async function restoreRedis(engine: Engine, sluice: Awaited<ReturnType<Engine['producer']>>, where: Where) {
  const views = sluice.counter('views');
  await views.increment('k');
  await engine.drain();
  await views.increment('old', 5);
  await views.increment('old', 5);
  await views.increment('both', 1);
  await sluice.points('loyalty').credit('1', 100, { id: 'old' });
  if (where === 'in the rest of a segment') {
    const batch = (await engine.flight.claim(0))!;
    const { outcome } = (await engine.store.commit(batch)) as Extract<CommitResult, { outcome: Outcome }>;
    await engine.flight.ack(batch, outcome);
  } else if (where !== 'pending') await engine.flight.claim(0);
  const restore = await backUpRedis(engine);
  await forgetJournal(engine, views);
  await engine.drain();
  await restore();
  // Only the restored Redis has these.
  await views.increment('new', 3);
  await views.increment('both', 4);
  expect(await flush(engine)).toMatchObject({ code: 'REDIS_BACKUP_RESTORED' });
  await views.increment('late', 2);
  // The producer records by itself what Redis forgot, outside its calls.
  await until(async () => (await readLosses(engine.database)).some(({ kind }) => kind === 'lost'));
}

describe('an old backup of Redis', () => {
  it.each([
    ['pending', 5000, 4, { inFlight: 2, pendingUpdates: 1 }],
    ['in flight', 5000, 3, { inFlight: 1, pendingUpdates: 3 }],
    ['in flight and in the rest of its segment', 1, 3, { inFlight: 1, pendingUpdates: 3 }],
    ['in the rest of a segment', 1, 1, { inFlight: 0, pendingUpdates: 3 }],
  ] as const)(
    'its counters are discarded, later updates are kept (in the backup: %s)',
    async (where, batchKeys, lost, left) => {
      const { engine, sluice, command } = await openWithCommand({ batchKeys });
      await restoreRedis(engine, sluice, where);
      const before = await contents(engine);
      const look = await command('recover');
      expect(look.code).toBe(1);
      // `both` counts as old since its first increment: a pending `both` is lost as a whole.
      expect(look.stdout).toMatch(
        `With --yes old counters are discarded, entries are kept: ${lost} updates lost at most.`,
      );
      expect(await contents(engine)).toEqual(before);

      expect((await command('recover', '--yes', '--partition', '0')).code).toBe(0);
      expect(await declared(engine)).toMatchObject([{ kind: 'lost', updates: lost }]);
      expect(await engine.inspector.partition(0)).toMatchObject(left);
      await engine.drain();
      // The next batch has nothing more to declare.
      expect(await engine.database.query("SELECT * FROM sluice_losses WHERE kind = 'doubled'")).toEqual([]);
      const views = sluice.counter('views');
      expect(await views.getMany(['k', 'old', 'both', 'new', 'late'])).toEqual([
        6,
        10,
        where === 'pending' ? 1 : 5,
        3,
        2,
      ]);
      expect(await sluice.points('loyalty').balance('1')).toBe(100);
      expect(await engine.balanceInMysql('loyalty', '1')).toBe(100);
      expect(await engine.inspector.partition(0)).toMatchObject({
        pendingUpdates: 0,
        pendingKeys: 0,
        inFlight: 0,
      });
      await views.increment('k');
      await engine.drain();
      expect(await engine.counterInMysql('views', 'k')).toBe(7);
      expect((await command('verify')).code).toBe(0);
    },
  );

  it('its counters are discarded in flight, in the segment and after it, and later updates are complete', async () => {
    const { engine, sluice, command } = await openWithCommand({ batchKeys: 1 });
    const views = sluice.counter('views');
    for (const key of ['a', 'b', 'c']) await views.increment(key);
    await engine.flight.claim(0);
    for (const key of ['c', 'd']) await views.increment(key);
    const restore = await backUpRedis(engine);
    await engine.drain();
    await forgetJournal(engine, views);
    await restore();
    expect(await flush(engine)).toMatchObject({ code: 'REDIS_BACKUP_RESTORED' });
    expect((await command('recover', '--yes', '--partition', '0')).code).toBe(0);
    expect(await declared(engine)).toMatchObject([{ kind: 'lost', updates: 5 }]);
    expect(await engine.inspector.partition(0)).toMatchObject({
      pendingUpdates: 0,
      pendingKeys: 0,
      inFlight: 0,
    });
    const keys = ['a', 'b', 'c', 'd', 'k'];
    expect(await views.getMany(keys)).toEqual([1, 1, 2, 1, 5]);
    for (const key of keys) await views.increment(key);
    await engine.drain();
    for (const key of keys) await views.increment(key);
    await engine.drain();
    expect(await Promise.all(keys.map(key => engine.counterInMysql('views', key)))).toEqual([3, 3, 4, 3, 7]);
    expect((await command('verify')).code).toBe(0);
  });

  it('its counters are applied again if the operator asks for it', async () => {
    const { engine, sluice, command } = await openWithCommand();
    await restoreRedis(engine, sluice, 'pending');
    const done = await command('recover', '--yes', '--counters', 'apply', '--json');
    expect(done.code).toBe(0);
    expect(JSON.parse(done.stdout)).toMatchObject([{ damage: { kind: 'doubled', updates: 4 } }]);
    expect(await declared(engine)).toMatchObject([{ kind: 'doubled', updates: 4 }]);
    await engine.drain();
    const views = sluice.counter('views');
    expect(await views.getMany(['k', 'old', 'both', 'new', 'late'])).toEqual([6, 20, 6, 3, 2]);
    expect(await sluice.points('loyalty').balance('1')).toBe(100);
    expect((await command('verify')).code).toBe(0);
  });

  it('before any worker runs, its counters can be discarded on request', async () => {
    const { engine, sluice, command } = await openWithCommand();
    const views = sluice.counter('views');
    await views.increment('k', 5);
    const restore = await backUpRedis(engine);
    await engine.drain();
    await restore();
    const before = await contents(engine);
    expect((await command('recover', '--yes')).code).toBe(0);
    expect(await contents(engine)).toEqual(before);
    expect((await command('recover', '--yes', '--counters', 'discard')).code).toBe(0);
    expect(await declared(engine)).toMatchObject([{ kind: 'lost', updates: 1 }]);
    await engine.drain();
    expect(await engine.counterInMysql('views', 'k')).toBe(5);
    expect(await views.get('k')).toBe(5);
  });

  it.each([
    ['declared', 'discard', 10],
    ['moved', 'discard', 10],
    ['declared', 'apply', 20],
    ['moved', 'apply', 20],
  ] as const)('after a crash when %s, the old counters are taken once (%s)', async (step, counters, old) => {
    const { engine, sluice } = await openWithCommand();
    await restoreRedis(engine, sluice, 'pending');
    await expect(recoveryOf(engine, step).recover(0, { ...request, counters })).rejects.toBeInstanceOf(Crash);
    const kind = counters === 'discard' ? 'lost' : 'doubled';
    expect(await declared(engine)).toMatchObject([{ kind, updates: 4 }]);
    // After the script only the epochs differ; before it the partition is still halted.
    if (step === 'declared') expect(await flush(engine)).toMatchObject({ code: 'REDIS_BACKUP_RESTORED' });
    await recoveryOf(engine).recover(0, { ...request, counters });
    expect(await declared(engine)).toMatchObject([{ kind, updates: 4 }]);
    await engine.drain();
    expect(await sluice.counter('views').getMany(['k', 'old', 'new', 'late'])).toEqual([6, old, 3, 2]);
    expect(await engine.counterInMysql('views', 'old')).toBe(old);
  });
});

it('an old backup halts its partition before any claim, whoever looks first', async () => {
  const { engine, sluice } = await openWithCommand();
  const views = sluice.counter('views');
  await views.increment('old', 5);
  const restore = await backUpRedis(engine);
  await forgetJournal(engine, views);
  await restore();
  await expect(engine.aligner.align(0)).rejects.toMatchObject({ code: 'REDIS_BACKUP_RESTORED' });
  expect((await recoveryOf(engine).look(0)).verdict).toBe('REDIS_BACKUP_RESTORED');
  await recoveryOf(engine).recover(0, { ...request, counters: 'discard' });
  await engine.drain();
  expect(await views.get('old')).toBe(5);
  expect(await engine.counterInMysql('views', 'old')).toBe(5);
});

describe('more old counters than one call may remove', () => {
  /** An engine whose Redis is set back to `counters` pending keys that are already in MySQL. */
  async function goBack(counters: number, settings = {}) {
    const opened = await openWithCommand(settings);
    const { engine, sluice } = opened;
    const update = (n: number) => ({ counter: 'views', key: `k${n}` }) as const;
    for (let from = 0; from < counters; from += 5000) {
      const size = Math.min(5000, counters - from);
      const results = await sluice.apply(Array.from({ length: size }, (_, at) => update(from + at)));
      expect(results.every(({ ok }) => ok)).toBe(true);
    }
    const restore = await backUpRedis(engine);
    await engine.drain();
    await restore();
    return opened;
  }
  const pending = ({ redis, name }: Engine) => redis.llen(`{${name}:0}:order`);

  it('are removed page by page, 50,000 of them', async () => {
    const { engine, command } = await goBack(50_000);
    const left: number[] = [];
    const lightened = async (step: string) => {
      if (step === 'lightened') left.push(await pending(engine));
    };
    const recovery = new Recovery(engine.own.redis, engine.own.database, engine.keys, lightened, 5000);
    const done = await recovery.recover(0, { ...request, counters: 'discard' });
    expect(done).toMatchObject({ damage: { updates: 50_000 }, burden: { oldKeys: 50_000 } });
    expect(left).toEqual([45, 40, 35, 30, 25, 20, 15, 10, 5].map(thousands => thousands * 1000));
    expect(await pending(engine)).toBe(0);
    expect(await declared(engine)).toMatchObject([{ kind: 'lost', updates: 50_000 }]);
    await engine.drain();
    expect((await command('verify')).code).toBe(0);
    const [row] = await engine.database.query('SELECT SUM(value) AS sum FROM sluice_counters');
    expect(Number(row!.sum)).toBe(50_000);
  });

  it('are declared with the updates that come meanwhile, also after a crash', async () => {
    const { engine, sluice } = await goBack(10);
    const views = sluice.counter('views');
    let pages = 0;
    const crashing = new Recovery(
      engine.own.redis,
      engine.own.database,
      engine.keys,
      async step => {
        // A later page removes k9; k0 was removed already and is a new counter by now.
        if (step === 'lightened') await views.increment('k9');
        if (step === 'lightened') await views.increment('k0');
        if (step === 'lightened' && ++pages === 2) throw new Crash(step);
      },
      3,
    );
    await expect(crashing.recover(0, { ...request, counters: 'discard' })).rejects.toBeInstanceOf(Crash);
    expect(await declared(engine)).toMatchObject([{ kind: 'lost', updates: 10 }]);
    expect((await recoveryOf(engine).look(0, 'discard')).damage).toMatchObject({ updates: 12 });
    await recoveryOf(engine, undefined, 3).recover(0, { ...request, counters: 'discard' });
    expect(await declared(engine)).toMatchObject([{ kind: 'lost', updates: 12 }]);
    expect(await engine.redis.hexists(engine.keys.state(0), 'discarded')).toBe(0);
    await engine.drain();
    expect(await views.getMany(['k0', 'k8', 'k9'])).toEqual([3, 1, 1]);
    expect((await engine.inspector.partition(0))!.pendingUpdates).toBe(0);
  });

  it('are declared with the updates that come before the move, although it crashes before the commit', async () => {
    const { engine, sluice } = await goBack(10);
    const views = sluice.counter('views');
    const adding = async (step: string) => {
      if (step === 'declared') await views.increment('k9');
      if (step === 'moved') throw new Crash(step);
    };
    const crashing = new Recovery(engine.own.redis, engine.own.database, engine.keys, adding);
    const asked = { ...request, counters: 'discard' } as const;
    await expect(crashing.recover(0, asked)).rejects.toBeInstanceOf(Crash);
    // One update came before each of the two attempts; the second attempt had declared enough.
    expect(await engine.redis.hget(engine.keys.state(0), 'dropped')).toBe('12');
    expect(await declared(engine)).toMatchObject([{ kind: 'lost', updates: 13 }]);
    expect((await recoveryOf(engine).look(0, 'discard')).verdict).toBe('EPOCHS_DIFFER');
  });

  it('are declared as doubled by a flush that aligns a partition after one page was removed', async () => {
    const { engine, sluice } = await goBack(10);
    // MySQL has none of these five, so the removed updates do not tell how many MySQL has.
    for (let n = 0; n < 5; n++) await sluice.counter('views').increment('k0');
    const asked = { ...request, counters: 'discard' } as const;
    await expect(recoveryOf(engine, 'lightened', 3).recover(0, asked)).rejects.toBeInstanceOf(Crash);
    await engine.drain();
    const [row] = await engine.database.query(
      "SELECT SUM(updates) AS updates FROM sluice_losses WHERE kind = 'doubled'",
    );
    const [sum] = await engine.database.query('SELECT SUM(value) AS sum FROM sluice_counters');
    expect(Number(sum!.sum)).toBe(17);
    expect(Number(row!.updates)).toBeGreaterThanOrEqual(7);
  });

  it('have the same count if the move is sent again, as after a lost connection', async () => {
    const { engine } = await goBack(10);
    const { redis } = await recoveryOf(engine).look(0);
    const sides = new Sides(engine.own.redis, engine.keys);
    const move = { epoch: 'fresh', sequence: 9, token: '', discards: true, forgetsIds: false };
    // The script discards no more than what is declared.
    expect(await sides.move(0, Number.MAX_SAFE_INTEGER, redis!, move, 9)).toBeUndefined();
    const first = await sides.move(0, Number.MAX_SAFE_INTEGER, redis!, move, 10);
    expect(first).toMatchObject({ claimed: 10, dropped: 10, inFlight: 0 });
    expect(await sides.move(0, Number.MAX_SAFE_INTEGER, redis!, move, 10)).toEqual(first);
  });
});
