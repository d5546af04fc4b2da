// Drops and edits of quarantined updates, by filter and with an audit record: live values stay exact.

import { describe, expect, it } from 'vitest';
import { Crash, openEngine, until } from '../support/engine.ts';
import { author, drift, failSome, mend, openFailed, poison, quarantined } from '../support/failed.ts';

const why = { ...author, reason: 'test data' };

/** Counters bad0, bad1, ... and entries bad0, bad1, ... in quarantine, all values live. */
async function poisoned(count: number) {
  const engine = await openEngine();
  await poison(engine);
  await failSome(engine, count);
  const sluice = await engine.producer();
  const value = (key: string) => sluice.counter('views').get(key);
  const balance = (account: string) => sluice.points('loyalty').balance(account);
  for (let n = 0; n < count; n++) await value(`bad${n}`);
  return { engine, sluice, value, balance, failed: await openFailed(engine) };
}

describe('a drop', () => {
  it('removes updates from quarantine and from live values, and returns after the flush', async () => {
    const { engine, failed, value, balance } = await poisoned(3);
    expect([await value('bad1'), await balance('1')]).toEqual([2, 2]);
    expect(await failed.plan('drop', { key: 'bad1' })).toEqual({
      action: 'drop',
      groups: [
        { kind: 'counter', name: 'views', code: 'ER_SIGNAL_EXCEPTION', outcome: 'dropped', updates: 1 },
      ],
      jobs: [],
    });
    await engine.worker();
    expect(await failed.drop({ key: 'bad1' }, why)).toEqual({
      operation: 1,
      action: 'drop',
      finished: true,
      updates: { dropped: 1 },
      jobs: {},
      takenBy: [],
    });
    expect([await value('bad1'), await balance('1')]).toEqual([0, 2]);
    expect(await failed.drop({ kind: 'entry' }, why)).toMatchObject({ updates: { dropped: 3 } });
    expect([await balance('0'), await balance('1'), await balance('2')]).toEqual([0, 0, 0]);
    expect(await drift(engine, 3)).toEqual([]);
    expect(await failed.operation(1)).toMatchObject({
      action: 'drop',
      operator: 'olga',
      reason: 'test data',
    });
    const [item] = await failed.items(1);
    expect(item).toMatchObject({ outcome: 'dropped', original: { key: 'bad1', amount: 2 } });
    expect((await failed.drop({ ids: [item!.id] }, why)).updates).toEqual({ already: 1 });
    await mend(engine);
    expect((await failed.replay({}, author)).updates).toEqual({ replayed: 2 });
    expect([await value('bad0'), await value('bad2')]).toEqual([1, 3]);
    expect(await drift(engine, 3)).toEqual([]);
  });

  it('needs a reason', async () => {
    const engine = await openEngine();
    const failed = await openFailed(engine);
    await expect(failed.drop({}, { ...author, reason: '' })).rejects.toThrow(/needs a reason/);
    expect(await failed.operations()).toEqual([]);
  });

  it('that is killed between two updates is resumed, and drops each update once', async () => {
    const { engine, balance } = await poisoned(4);
    let left = 2;
    const killed = await openFailed(engine);
    await expect(
      killed.drop({ kind: 'entry' }, why, {
        onProgress: () => {
          if (--left === 0) throw new Crash('between');
        },
      }),
    ).rejects.toThrow(Crash);
    // Two are accepted and not flushed; drift() must count them all the time.
    expect(await drift(engine, 4)).toEqual([]);
    await engine.worker();
    const resumed = await (await openFailed(engine)).resume(['drop'], 1);
    expect(resumed).toMatchObject({ finished: true, updates: { dropped: 4 } });
    expect([await balance('0'), await balance('1'), await balance('2')]).toEqual([0, 0, 0]);
    expect(await drift(engine, 4)).toEqual([]);
  });

  it('and a replay at the same time leave each update to the first, and nothing counts twice', async () => {
    const { engine, failed, value, balance } = await poisoned(6);
    await mend(engine);
    await engine.worker();
    const other = await openFailed(engine);
    const [dropped, replayed] = await Promise.all([failed.drop({}, why), other.replay({}, author)]);
    expect((dropped.updates.dropped ?? 0) + (replayed.updates.replayed ?? 0)).toBe(12);
    // A drop that came second changed the live value; its flush finds no update and deletes the value.
    const isDone = async () =>
      (await engine.inspector.all()).every(one => one.pendingUpdates === 0 && one.token === '');
    await until(isDone, 'the last flush');
    expect(await quarantined(engine)).toEqual([]);
    expect(await drift(engine, 6)).toEqual([]);
    for (let n = 0; n < 6; n++)
      expect(await value(`bad${n}`), `bad${n}`).toBe(await engine.counterInMysql('views', `bad${n}`));
    for (const account of ['0', '1', '2'])
      expect(await balance(account)).toBe(await engine.balanceInMysql('loyalty', account));
  });
});

describe('an edit', () => {
  it('replays with another amount, reason and metadata, and keeps the original', async () => {
    const { engine, failed, sluice, value, balance } = await poisoned(2);
    await mend(engine);
    await engine.worker();
    const change = { amount: 40, reason: null, metadata: { mended: true } };
    expect((await failed.edit({ kind: 'entry', key: '1' }, change, author)).updates).toEqual({ edited: 1 });
    expect(await balance('1')).toBe(40);
    expect(await sluice.points('loyalty').history('1')).toMatchObject([
      { id: 'bad1', amount: 40, reason: null, metadata: { mended: true }, balanceAfter: 40, persisted: true },
    ]);
    const operation = await failed.operation(1);
    expect(operation).toMatchObject({ action: 'edit', change, outcomes: { edited: 1 } });
    expect((await failed.items(1))[0]!.original).toMatchObject({
      amount: 2,
      reason: 'why',
      metadata: { n: 1 },
    });
    expect((await failed.edit({ kind: 'counter' }, { amount: 7 }, author)).updates).toEqual({ edited: 2 });
    expect([await value('bad0'), await value('bad1')]).toEqual([7, 7]);
    expect(await engine.counterInMysql('views', 'bad1')).toBe(7);
    expect(await drift(engine, 2)).toEqual([]);
  });

  it('refuses a change that does not fit an update, and edits the others', async () => {
    const { engine, failed } = await poisoned(1);
    await mend(engine);
    await engine.worker();
    expect(await failed.plan('edit', {}, { change: { reason: 'x' } })).toMatchObject({
      groups: [
        { kind: 'counter', outcome: 'refused:INVALID_UPDATE' },
        { kind: 'entry', outcome: 'edited' },
      ],
    });
    expect((await failed.edit({}, { reason: 'x' }, author)).updates).toEqual({
      'refused:INVALID_UPDATE': 1,
      edited: 1,
    });
    expect((await failed.list()).updates).toMatchObject([{ kind: 'counter', takenBy: null }]);
    await expect(failed.edit({}, { amount: 0 }, author)).rejects.toMatchObject({ code: 'INVALID_AMOUNT' });
    await expect(failed.edit({}, {}, author)).rejects.toThrow(/A change must be an object/);
    await expect(failed.edit({}, { account: '2' } as object, author)).rejects.toThrow(/"account"/);
    expect(await drift(engine, 1)).toEqual([]);
  });

  it('that MySQL refuses again stays in quarantine as edited, and can be dropped or edited again', async () => {
    const { engine, failed, value } = await poisoned(2);
    await engine.worker();
    expect((await failed.edit({ key: 'bad0' }, { amount: 5 }, author)).updates).toEqual({
      'refused:ER_SIGNAL_EXCEPTION': 1,
    });
    expect(await value('bad0')).toBe(5);
    expect((await failed.list({ key: 'bad0' })).updates).toMatchObject([{ amount: 5 }]);
    await mend(engine);
    expect((await failed.edit({ key: 'bad0' }, { amount: 9 }, author)).updates).toEqual({ edited: 1 });
    expect(await engine.counterInMysql('views', 'bad0')).toBe(9);
    expect(await value('bad0')).toBe(9);
    expect(await drift(engine, 2)).toEqual([]);
  });
});
