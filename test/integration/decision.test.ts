// The table of decisions in the design: one test per row, on real servers.

import { describe, expect, it } from 'vitest';
import { PartitionHaltedError } from '../../src/shared/errors.ts';
import { type Engine, openEngine } from '../support/engine.ts';

const KEY = '/page';

async function withBatch(engine: Engine, amount = 1) {
  const sluice = await engine.producer();
  await sluice.counter('views').increment(KEY, amount);
  const partition = engine.keys.partitionOf(KEY);
  const batch = await engine.flight.claim(partition);
  return { sluice, partition, batch: batch! };
}

const setState = (engine: Engine, partition: number, ...fields: (string | number)[]) =>
  engine.redis.hset(engine.keys.state(partition), ...fields);

describe('the comparison of a batch with the watermark', () => {
  it('b.seq = w.seq + 1: applies', async () => {
    const engine = await openEngine();
    const { batch, partition } = await withBatch(engine, 3);
    expect(batch.sequence).toBe((await engine.watermark(partition)).sequence + 1);
    expect(await engine.store.commit(batch)).toMatchObject({ decision: 'apply', rows: 1 });
    expect(await engine.counterInMysql('views', KEY)).toBe(3);
    expect(await engine.watermark(partition)).toMatchObject({ sequence: batch.sequence, token: batch.token });
  });

  it('b.seq <= w.seq, token recorded (the answer to the commit was lost): skips and acknowledges', async () => {
    const engine = await openEngine();
    const { batch, partition } = await withBatch(engine, 3);
    await engine.store.commit(batch);
    const again = await engine.flight.claim(partition);
    expect(again).toMatchObject({ token: batch.token, reclaimed: true });
    await engine.flusher.flush(partition);
    expect(await engine.counterInMysql('views', KEY)).toBe(3);
    expect(await engine.inspector.partition(partition)).toMatchObject({
      token: '',
      inFlight: 0,
      pendingUpdates: 0,
    });
  });

  it('b.seq <= w.seq, token recorded (a zombie, others went on): skips, its ack changes nothing', async () => {
    const engine = await openEngine();
    const { sluice, batch, partition } = await withBatch(engine, 3);
    await engine.drain();
    await sluice.counter('views').increment(KEY, 4);
    const next = await engine.flight.claim(partition);
    const result = await engine.store.commit(batch);
    expect(result).toMatchObject({ decision: 'skip' });
    expect(await engine.flight.ack(batch, { late: [], quarantined: 0 })).toMatchObject({
      acknowledged: false,
    });
    expect(await engine.inspector.partition(partition)).toMatchObject({ token: next!.token, inFlight: 1 });
    await engine.drain();
    expect(await engine.counterInMysql('views', KEY)).toBe(7);
  });

  it('b.seq <= w.seq, token unknown, still in flight: a rewind; the batch keeps its token and is applied', async () => {
    const engine = await openEngine();
    const { sluice, partition } = await withBatch(engine, 3);
    await engine.drain();
    const before = await engine.watermark(partition);
    // Redis loses its latest writes: it is one batch behind and claims another batch under the same number.
    await setState(engine, partition, 'sequence', before.sequence - 1);
    await sluice.counter('views').increment(KEY, 4);
    const batch = (await engine.flight.claim(partition))!;
    expect(batch.sequence).toBe(before.sequence);
    expect(await engine.store.commit(batch)).toMatchObject({ decision: 'rewind' });
    const after = await engine.watermark(partition);
    expect(after).toMatchObject({ sequence: before.sequence + 1, token: batch.token });
    expect(after.epoch).not.toBe(before.epoch);
    expect(await engine.inspector.partition(partition)).toMatchObject({
      epoch: after.epoch,
      sequence: after.sequence,
    });
    await engine.drain();
    expect(await engine.counterInMysql('views', KEY)).toBe(7);
    expect(await sluice.counter('views').get(KEY)).toBe(7);
  });

  it('a rewind is counted and logged by the loop', async () => {
    const engine = await openEngine();
    const { sluice, partition } = await withBatch(engine);
    await engine.drain();
    await setState(engine, partition, 'sequence', 0);
    await sluice.counter('views').increment(KEY);
    await engine.drain();
    expect((await engine.metrics.rewinds.get()).values[0]!.value).toBe(1);
  });

  it('b.seq <= w.seq, token unknown, not in flight any more: a zombie; stops and touches nothing', async () => {
    const engine = await openEngine();
    const { batch, partition } = await withBatch(engine, 3);
    await engine.drain();
    const before = await engine.watermark(partition);
    const stranger = { ...batch, token: 'never-recorded' };
    expect(await engine.store.commit(stranger)).toEqual({ decision: 'stop' });
    expect(await engine.counterInMysql('views', KEY)).toBe(3);
    expect(await engine.watermark(partition)).toEqual(before);
  });

  it('b.seq older than the journal, token unknown: an old backup of Redis; halts', async () => {
    const engine = await openEngine();
    const { sluice, partition } = await withBatch(engine);
    await engine.drain();
    await sluice.counter('views').increment(KEY);
    await engine.drain();
    await engine.database.query('DELETE FROM sluice_batches WHERE partition_id = ? AND sequence < 2', [
      partition,
    ]);
    await setState(engine, partition, 'sequence', 0);
    await sluice.counter('views').increment(KEY);
    const error = await engine.flusher.flush(partition).catch(thrown => thrown);
    expect(error).toBeInstanceOf(PartitionHaltedError);
    expect(error).toMatchObject({ code: 'REDIS_BACKUP_RESTORED' });
    expect(await engine.counterInMysql('views', KEY)).toBe(2);
    expect(await engine.inspector.partition(partition)).toMatchObject({ inFlight: 1 });
  });

  it('b.seq > w.seq + 1: MySQL went back in time; halts and keeps the batch', async () => {
    const engine = await openEngine();
    const { sluice, partition } = await withBatch(engine);
    await engine.drain();
    await sluice.counter('views').increment(KEY);
    await engine.database.query(
      "UPDATE sluice_partitions SET sequence = 0, token = '' WHERE partition_id = ?",
      [partition],
    );
    const error = await engine.flusher.flush(partition).catch(thrown => thrown);
    expect(error).toMatchObject({ code: 'DATABASE_WENT_BACK' });
    expect(await engine.counterInMysql('views', KEY)).toBe(1);
    expect(await engine.inspector.partition(partition)).toMatchObject({ inFlight: 1 });
  });

  it('no watermark row: refuses, since an absent row locks nothing', async () => {
    const engine = await openEngine();
    const { partition } = await withBatch(engine);
    await engine.database.query('DELETE FROM sluice_partitions WHERE partition_id = ?', [partition]);
    await expect(engine.flusher.flush(partition)).rejects.toMatchObject({ code: 'NOT_MIGRATED' });
    expect(await engine.counterInMysql('views', KEY)).toBe(0);
  });
});

describe('nothing in flight', () => {
  it('Redis behind the watermark: adopts it, under a new epoch', async () => {
    const engine = await openEngine();
    const { sluice, partition } = await withBatch(engine, 5);
    await engine.drain();
    expect(await sluice.counter('views').get(KEY)).toBe(5);
    const { epoch, sequence } = await engine.watermark(partition);
    await setState(engine, partition, 'sequence', 0);
    expect(await engine.aligner.align(partition)).toBe('adopted');
    expect(await engine.inspector.partition(partition)).toMatchObject({ sequence });
    expect((await engine.watermark(partition)).epoch).not.toBe(epoch);
    expect((await engine.metrics.rewinds.get()).values[0]!.value).toBe(1);
    expect(await sluice.counter('views').get(KEY)).toBe(5);
  });

  it('Redis empty: the next update creates the partition from the watermark', async () => {
    const engine = await openEngine();
    const { sluice, partition } = await withBatch(engine, 5);
    await engine.drain();
    await engine.redis.del(engine.keys.state(partition));
    await sluice.counter('views').increment(KEY, 2);
    await engine.drain();
    expect(await engine.counterInMysql('views', KEY)).toBe(7);
    expect(await sluice.counter('views').get(KEY)).toBe(7);
  });

  it('Redis ahead of the watermark: MySQL was restored; Redis does not follow it', async () => {
    const engine = await openEngine();
    const { partition } = await withBatch(engine);
    await engine.drain();
    await engine.database.query('UPDATE sluice_partitions SET sequence = 0 WHERE partition_id = ?', [
      partition,
    ]);
    await expect(engine.aligner.align(partition)).rejects.toMatchObject({ code: 'DATABASE_WENT_BACK' });
  });

  it('epochs that differ: both get a new one, live values are read again', async () => {
    const engine = await openEngine();
    const { sluice, partition } = await withBatch(engine, 5);
    await engine.drain();
    await sluice.counter('views').get(KEY);
    const old = (await engine.watermark(partition)).epoch;
    await engine.database.query("UPDATE sluice_partitions SET epoch = 'other' WHERE partition_id = ?", [
      partition,
    ]);
    expect(await engine.aligner.align(partition)).toBe('adopted');
    const { epoch } = await engine.watermark(partition);
    expect([old, 'other']).not.toContain(epoch);
    expect((await engine.inspector.partition(partition))!.epoch).toBe(epoch);
    expect(await sluice.counter('views').get(KEY)).toBe(5);
  });
});
