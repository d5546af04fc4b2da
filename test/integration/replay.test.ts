// Replays of refused updates: each counts once, whatever is killed or runs meanwhile, and values stay exact.

import { describe, expect, it } from 'vitest';
import type { ReplayStep } from '../../src/replay/replay-one.ts';
import type { OperationReport } from '../../src/replay/run.ts';
import { Crash, type Engine, openEngine } from '../support/engine.ts';
import {
  author,
  drift,
  failSome,
  mend,
  openFailed,
  poison,
  poisoned,
  quarantined,
} from '../support/failed.ts';

/** Counters bad0, bad1, ... hold 1, 2, ...; accounts 0, 1 and 2 hold every third of those. */
async function expectAllWritten(engine: Engine, count: number): Promise<void> {
  const values = await engine.database.query('SELECT counter_key, value FROM sluice_counters');
  const written = Object.fromEntries(values.map(row => [String(row.counter_key), Number(row.value)]));
  const numbers = Array.from({ length: count }, (_, n) => n);
  expect(written).toEqual(Object.fromEntries(numbers.map(n => [`bad${n}`, n + 1])));
  const ledger = await engine.database.query('SELECT entry_id, amount FROM sluice_entries');
  expect(ledger).toHaveLength(count);
  for (const account of [0, 1, 2]) {
    const sum = numbers.filter(n => n % 3 === account).reduce((total, n) => total + n + 1, 0);
    expect(await engine.balanceInMysql('loyalty', `${account}`), `account ${account}`).toBe(sum);
  }
  expect(await quarantined(engine)).toEqual([]);
  expect(await drift(engine, count)).toEqual([]);
}

describe('a replay', () => {
  it('writes mended updates to values and ledger, and records who did it', async () => {
    const engine = await poisoned(4);
    const sluice = await engine.producer();
    const waiting = await sluice.counter('views').increment('bad0', 10);
    const failed = await openFailed(engine);
    const lastId = (await quarantined(engine)).at(-1)!;
    expect(await drift(engine, 4)).toEqual([]);
    await mend(engine);
    await engine.drain();
    await waiting.persisted();
    expect(await failed.replay({}, author)).toEqual({
      operation: 1,
      action: 'replay',
      finished: true,
      updates: { replayed: 8 },
      jobs: {},
      takenBy: [],
    });
    expect(await engine.counterInMysql('views', 'bad0')).toBe(11);
    await sluice.counter('views').increment('bad0', -10);
    await engine.drain();
    await expectAllWritten(engine, 4);
    expect(
      (await sluice.points('loyalty').history('0')).map(entry => [entry.id, entry.reason, entry.metadata]),
    ).toEqual([
      ['bad3', 'why', { n: 3 }],
      ['bad0', 'why', { n: 0 }],
    ]);
    // A repeated call finds its entry in the ledger.
    const repeated = await sluice
      .points('loyalty')
      .credit('0', 1, { id: 'bad0', reason: 'why', metadata: { n: 0 } });
    expect(repeated.duplicate).toBe(true);
    await repeated.persisted();
    const [operation] = await failed.operations();
    expect(operation).toMatchObject({
      operation: 1,
      action: 'replay',
      operator: 'olga',
      filter: {},
      lastId,
      outcomes: { replayed: 8 },
    });
    const items = await failed.items(1);
    expect(items).toHaveLength(8);
    expect(items[0]).toMatchObject({ id: 1, outcome: 'replayed', original: { code: 'ER_SIGNAL_EXCEPTION' } });
    const [shown] = await failed.show([items[0]!.id]);
    expect(shown).toMatchObject({ update: null, items: [{ operation: 1, outcome: 'replayed' }] });
  });

  it('leaves in quarantine what MySQL refuses again, and goes on with the rest', async () => {
    const engine = await poisoned(3);
    const failed = await openFailed(engine);
    await engine.database.query('DROP TRIGGER bad_counters');
    expect(await failed.replay({}, author)).toMatchObject({
      finished: true,
      updates: { replayed: 3, 'refused:ER_SIGNAL_EXCEPTION': 3 },
    });
    expect(await quarantined(engine)).toHaveLength(3);
    expect(await engine.balanceInMysql('loyalty', '0')).toBe(0);
    expect(await drift(engine, 3)).toEqual([]);
    await engine.database.query('DROP TRIGGER bad_entries');
    expect(await failed.replay({}, author)).toMatchObject({ updates: { replayed: 3 } });
    await expectAllWritten(engine, 3);
  });

  it('reports "already" for a replayed update, and "unknown" for a number that never existed', async () => {
    const engine = await poisoned(1);
    await mend(engine);
    const failed = await openFailed(engine);
    expect((await failed.replay({ ids: [1] }, author)).updates).toEqual({ replayed: 1 });
    expect((await failed.replay({ ids: [1, 2, 77] }, author)).updates).toEqual({
      replayed: 1,
      already: 1,
      unknown: 1,
    });
    await expectAllWritten(engine, 1);
  });

  it('can run twice at once, and each update counts once', async () => {
    const engine = await poisoned(20);
    await mend(engine);
    const both = await Promise.all([openFailed(engine), openFailed(engine)]);
    const reports = await Promise.all(both.map(failed => failed.replay({}, author)));
    const sum = (outcome: string) =>
      reports.reduce((total, { updates }) => total + (updates[outcome] ?? 0), 0);
    expect(sum('replayed')).toBe(40);
    expect(Object.keys({ ...reports[0]!.updates, ...reports[1]!.updates }).toSorted()).not.toContain(
      'unknown',
    );
    await expectAllWritten(engine, 20);
  });

  it('can run while partitions flush, and the ledger stays in order', async () => {
    const engine = await poisoned(12);
    await mend(engine);
    const failed = await openFailed(engine);
    const sluice = await engine.producer();
    let report: OperationReport | undefined;
    const replay = failed.replay({}, author).then(done => {
      report = done;
    });
    for (let n = 0; !report || n < 30; n++) {
      await sluice.points('loyalty').credit(`${n % 3}`, 1, { id: `good${n}` });
      await engine.drain();
    }
    await replay;
    expect(report!.updates).toEqual({ replayed: 24 });
    expect(await drift(engine, 12)).toEqual([]);
    for (const account of ['0', '1', '2']) {
      const rows = await engine.database.query(
        "SELECT amount, balance_after FROM sluice_entries WHERE program = 'loyalty' AND account = ? ORDER BY ledger_no",
        [Buffer.from(account)],
      );
      let balance = 0;
      for (const row of rows) {
        balance += Number(row.amount);
        expect(Number(row.balance_after)).toBe(balance);
      }
      expect(await engine.balanceInMysql('loyalty', account)).toBe(balance);
    }
  });

  it('touches no update that came after its start', async () => {
    const engine = await poisoned(2);
    const failed = await openFailed(engine, {
      seam: async step => {
        if (step === 'started') await failSome(engine, 2, 2);
      },
    });
    await engine.database.query('DROP TRIGGER bad_counters');
    const report = await failed.replay({ kind: 'counter' }, author);
    expect(report.updates).toEqual({ replayed: 2 });
    // All four entries are in quarantine; MySQL has taken the later counters.
    expect(await quarantined(engine)).toHaveLength(4);
    await engine.database.query('DROP TRIGGER bad_entries');
    const again = await openFailed(engine, {
      seam: async step => {
        if (step !== 'started') return;
        await poison(engine);
        await failSome(engine, 1, 4);
        await mend(engine);
      },
    });
    expect((await again.replay({}, author)).updates).toEqual({ replayed: 4 });
    expect(await quarantined(engine)).toHaveLength(2);
    expect((await (await openFailed(engine)).replay({}, author)).updates).toEqual({ replayed: 2 });
    await expectAllWritten(engine, 5);
  });

  it('waits for the next batch if the last one has no ledger number left', async () => {
    const engine = await openEngine({ partitions: 1 });
    await poison(engine);
    await failSome(engine, 1);
    await mend(engine);
    const { sequence } = await engine.watermark(0);
    const last = (sequence + 1) * 65_536 - 1;
    await engine.database.query(
      "INSERT INTO sluice_entries VALUES (0, ?, 'loyalty', 'x', 'x', 1, 1, NULL, NULL, UTC_TIMESTAMP(3), NULL, NULL)",
      [last],
    );
    const failed = await openFailed(engine);
    const report = await failed.replay({ kind: 'entry' }, author);
    expect(report).toMatchObject({ finished: false, updates: { waiting: 1 } });
    await (await engine.producer()).points('loyalty').credit('9', 1, { id: 'next' });
    await engine.drain();
    expect(await failed.resume(['replay'], report.operation)).toMatchObject({
      finished: true,
      updates: { replayed: 1 },
    });
    const [row] = await engine.database.query("SELECT ledger_no FROM sluice_entries WHERE entry_id = 'bad0'");
    const next = await engine.watermark(0);
    expect(Number(row!.ledger_no)).toBe(next.sequence * 65_536 + 1);
  });
});

describe('an interrupted replay', () => {
  it.each<ReplayStep>(['started', 'locked', 'found', 'written', 'recorded', 'committed', 'finished'])(
    'that was killed at "%s" is resumed, and each update counts once',
    async at => {
      const engine = await poisoned(3);
      await mend(engine);
      let left = 3;
      const killed = await openFailed(engine, {
        seam: step => {
          if (step === at && (--left === 0 || at === 'started' || at === 'finished')) throw new Crash(step);
        },
      });
      await expect(killed.replay({}, author)).rejects.toThrow(Crash);
      expect(await drift(engine, 3)).toEqual([]);
      const failed = await openFailed(engine);
      const resumed = failed.resume(['replay'], 1);
      if (at === 'finished') await expect(resumed).rejects.toMatchObject({ code: 'OPERATION_FINISHED' });
      else expect(await resumed).toMatchObject({ finished: true, updates: { replayed: 6 } });
      await expectAllWritten(engine, 3);
      expect((await failed.items(1)).map(item => item.outcome)).toEqual(Array(6).fill('replayed'));
      await expect(failed.resume(['replay'], 1)).rejects.toMatchObject({ code: 'OPERATION_FINISHED' });
      await expect(failed.resume(['replay'], 2)).rejects.toMatchObject({ code: 'UNKNOWN_OPERATION' });
      await expect(failed.resume(['drop'], 1)).rejects.toMatchObject({ code: 'UNKNOWN_OPERATION' });
    },
  );

  it('stops between two updates if it is told to, and goes on with its filter and snapshot', async () => {
    const engine = await poisoned(3);
    await mend(engine);
    const failed = await openFailed(engine);
    const stopping = new AbortController();
    const report = await failed.replay({ kind: 'counter' }, author, {
      signal: stopping.signal,
      onProgress: ({ done, total }) => {
        expect(total).toBe(3);
        if (done === 2) stopping.abort();
      },
    });
    expect(report).toMatchObject({ finished: false, updates: { replayed: 2 } });
    await poison(engine);
    await failSome(engine, 2, 3);
    await mend(engine);
    expect(await failed.resume(['replay'], report.operation)).toMatchObject({
      finished: true,
      updates: { replayed: 3 },
    });
    expect((await failed.list()).total).toBe(7);
    await failed.replay({}, author);
    await expectAllWritten(engine, 5);
  });
});

it('a replay keeps to its rate', async () => {
  const engine = await poisoned(3);
  await mend(engine);
  const failed = await openFailed(engine);
  const startedAt = performance.now();
  await failed.replay({}, author, { rate: 20 });
  // The first starts at once; five more wait 50 ms each.
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(249);
  await expectAllWritten(engine, 3);
});

it('a resumed replay keeps to the rate that it was started with, unless another one is given', async () => {
  const engine = await poisoned(3);
  await mend(engine);
  const failed = await openFailed(engine);
  const stopped = (name: string, rate?: number) =>
    failed.replay({ name }, author, { rate, signal: AbortSignal.abort() });
  const slow = await stopped('views', 2);
  const startedAt = performance.now();
  expect(await failed.resume(['replay'], slow.operation)).toMatchObject({ updates: { replayed: 3 } });
  // The first starts at once; two more wait half a second each.
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(999);
  // One in a thousand seconds.
  const slowest = await stopped('loyalty', 0.001);
  const free = await stopped('loyalty');
  const found = await failed.operations();
  expect(found.map(({ operation, rate }) => [operation, rate])).toEqual([
    [free.operation, null],
    [slowest.operation, 0.001],
    [slow.operation, 2],
  ]);
  await failed.resume(['replay'], slowest.operation, { rate: 1000 });
  await expectAllWritten(engine, 3);
});
