// Two operators and one update: the first takes it and changes the live value, the second must wait.

import { describe, expect, it } from 'vitest';
import type { ReplayStep } from '../../src/replay/replay-one.ts';
import { take } from '../../src/replay/take.ts';
import { Crash, openEngine, until } from '../support/engine.ts';
import { author, drift, failSome, mend, openFailed, poison, quarantined } from '../support/failed.ts';

const why = { operator: 'olga', reason: 'test data' };
const other = { operator: 'otto', reason: 'test data' };
const taken = [{ operation: 1, action: 'drop', operator: 'olga', updates: 1 }];

/** Account 1 has 10 points and a debit of 4 in quarantine. */
async function withDebit() {
  const engine = await openEngine();
  await poison(engine);
  const account = (await engine.producer()).points('loyalty');
  await account.credit('1', 10, { id: 'good' });
  await account.debit('1', 4, { id: 'bad' });
  await engine.drain();
  expect(await quarantined(engine)).toHaveLength(1);
  const balance = async (points: number) =>
    until(async () => (await account.balance('1')) === points, `a balance of ${points}`);
  await balance(6);
  return { engine, account, balance, failed: await openFailed(engine), colleague: await openFailed(engine) };
}

describe('an update that an operator drops', () => {
  it('cannot be dropped by another before the flush, so its points are spent once', async () => {
    const { engine, account, balance, failed, colleague } = await withDebit();
    const first = failed.drop({}, why);
    await balance(10);
    expect(await colleague.plan('drop', {})).toMatchObject({ groups: [{ outcome: 'already' }] });
    const second = await colleague.drop({}, other);
    expect(second).toMatchObject({ finished: true, updates: { already: 1 }, takenBy: taken });
    expect((await colleague.list()).updates).toMatchObject([{ takenBy: 1 }]);
    await expect(account.debit('1', 11, { id: 'good2' })).rejects.toMatchObject({
      code: 'INSUFFICIENT_POINTS',
    });
    await account.debit('1', 10, { id: 'good3' });
    await engine.drain();
    expect(await first).toMatchObject({ updates: { dropped: 1 }, takenBy: [] });
    expect(await account.balance('1')).toBe(0);
    expect(await engine.balanceInMysql('loyalty', '1')).toBe(0);
    expect(await drift(engine, 0)).toEqual([]);
    // A finished operation holds no update.
    expect(await colleague.drop({ ids: [1] }, other)).toMatchObject({
      updates: { already: 1 },
      takenBy: [],
    });
  });

  it('is not taken again by a run of the operation that comes to it after another run was done', async () => {
    const { engine, failed } = await withDebit();
    const edited = failed.edit({}, { amount: -3 }, author);
    await until(async () => {
      await engine.drain();
      const [item] = await engine.database.query('SELECT outcome FROM sluice_operation_items');
      return item?.outcome !== undefined;
    }, 'the flush to refuse the edit');
    const [code] = Object.keys((await edited).updates);
    expect(code).toMatch(/^refused:/);
    const [update] = (await failed.list()).updates;
    expect(await take(engine.own.database, update!.id, 1)).toMatchObject({ takenBy: null });
  });

  it('cannot be replayed by another before the flush', async () => {
    const { engine, account, balance, failed, colleague } = await withDebit();
    await mend(engine);
    const first = failed.drop({}, why);
    await balance(10);
    expect(await colleague.plan('replay', {})).toMatchObject({ groups: [{ outcome: 'already' }] });
    const second = await colleague.replay({}, author);
    expect(second).toMatchObject({ updates: { already: 1 }, takenBy: taken });
    expect(await engine.balanceInMysql('loyalty', '1')).toBe(10);
    await engine.drain();
    expect((await first).updates).toEqual({ dropped: 1 });
    expect(await account.balance('1')).toBe(10);
    expect(await drift(engine, 0)).toEqual([]);
  });

  it.each<ReplayStep>(['taken', 'sent'])(
    'stays with an operation that was killed when it was %s, which anybody can resume',
    async at => {
      const { engine, account, balance, colleague } = await withDebit();
      const killed = await openFailed(engine, {
        seam: step => {
          if (step === at) throw new Crash(step);
        },
      });
      await expect(killed.drop({}, why)).rejects.toThrow(Crash);
      await balance(at === 'sent' ? 10 : 6);
      expect(await colleague.drop({}, other)).toMatchObject({ updates: { already: 1 }, takenBy: taken });
      await balance(at === 'sent' ? 10 : 6);
      await engine.worker();
      const resumed = await colleague.resume(['drop'], 1);
      expect(resumed).toMatchObject({ finished: true, updates: { dropped: 1 } });
      expect(await account.balance('1')).toBe(10);
      expect(await drift(engine, 0)).toEqual([]);
      await expect(colleague.resume(['drop'], 1)).rejects.toMatchObject({ code: 'OPERATION_FINISHED' });
    },
  );

  it('is dropped once if two processes resume the operation at once', async () => {
    const { engine, account, balance, failed, colleague } = await withDebit();
    const killed = await openFailed(engine, {
      seam: step => {
        if (step === 'taken') throw new Crash(step);
      },
    });
    await expect(killed.drop({}, why)).rejects.toThrow(Crash);
    const both = Promise.all([failed, colleague].map(one => one.resume(['drop'], 1)));
    await balance(10);
    await engine.worker();
    for (const { updates } of await both) expect(updates).toEqual({ dropped: 1 });
    expect(await account.balance('1')).toBe(10);
    expect(await drift(engine, 0)).toEqual([]);
  });

  it('can be resumed after the end of its operation if Redis lost the amendment', async () => {
    const { engine, account, colleague } = await withDebit();
    const killed = await openFailed(engine, {
      seam: step => {
        if (step === 'taken') throw new Crash(step);
      },
    });
    await expect(killed.drop({}, why)).rejects.toThrow(Crash);
    await engine.database.query('UPDATE sluice_operations SET finished_at = UTC_TIMESTAMP(3)');
    await engine.worker();
    expect(await colleague.resume(['drop'], 1)).toMatchObject({ updates: { dropped: 1 } });
    expect(await account.balance('1')).toBe(10);
  });
});

it('an edit that the flush refuses releases its update, and a later drop takes it as it is then', async () => {
  const engine = await openEngine();
  await poison(engine);
  await failSome(engine, 1);
  const [failed, colleague] = [await openFailed(engine), await openFailed(engine)];
  const expected = (sum: number) =>
    until(async () => (await engine.compare('c', 'views', 'bad0')).expected === sum, `a sum of ${sum}`);
  const edit = failed.edit({ key: 'bad0' }, { amount: 5 }, author);
  await expected(5);
  expect((await colleague.drop({ key: 'bad0' }, other)).takenBy).toMatchObject([{ action: 'edit' }]);
  await engine.drain();
  expect((await edit).updates).toEqual({ 'refused:ER_SIGNAL_EXCEPTION': 1 });
  const drop = colleague.drop({ key: 'bad0' }, other);
  await expected(0);
  await engine.drain();
  expect((await drop).updates).toEqual({ dropped: 1 });
  expect(await drift(engine, 1)).toEqual([]);
});
