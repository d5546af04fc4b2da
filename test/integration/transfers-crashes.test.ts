// A transfer comes to its end exactly once, wherever a worker dies between two of its steps.

import { describe, expect, it } from 'vitest';
import { STEPS, type Step } from '../../src/worker/commit.ts';
import { Crash, openEngine } from '../support/engine.ts';
import { amounts, expectZero, inTransit, withPoints } from '../support/transfers.ts';

async function open() {
  const opened = await withPoints(await openEngine());
  const { engine, points, from, to } = opened;
  expect(await points.balance(to)).toBe(0);
  await points.transfer(from, to, 10, { id: 'x' });
  /** Flushes the partition with a crash at this step. */
  const dieAt = async (partition: number, step: Step) => {
    engine.crashAt(step);
    await expect(engine.flusher.flush(partition)).rejects.toThrow(Crash);
    engine.crashAt(undefined);
    await expectZero(engine);
  };
  /** Everything that is left to do. */
  const finish = async () => {
    await engine.drain();
    await engine.driver().once();
    await engine.drain();
    expect(await inTransit(engine)).toEqual([]);
    expect([await amounts(engine, from), await amounts(engine, to)]).toEqual([[100, -10], [10]]);
    expect([await points.balance(from), await points.balance(to)]).toEqual([90, 10]);
    for (const account of [from, to]) {
      const { live, expected } = await engine.compare('p', 'loyalty', account);
      expect(live).toBe(expected);
    }
    await expectZero(engine);
  };
  return { ...opened, dieAt, finish };
}

describe('the worker of the debit dies', () => {
  it.each(STEPS)('at the step "%s"', async step => {
    const { dieAt, finish } = await open();
    await dieAt(0, step);
    await finish();
  });
});

describe('the worker of the credit dies', () => {
  it.each(STEPS)('at the step "%s"', async step => {
    const { engine, driver, dieAt, finish } = await open();
    await engine.flusher.flush(0);
    await driver.once();
    await dieAt(1, step);
    // Nobody knows that it was written: a driver sends what it read before, and reads anew.
    await driver.once();
    await finish();
  });
});

describe('the driver dies', () => {
  it.each(['read', 'sent'] as const)('at the step "%s"', async step => {
    const { engine, finish } = await open();
    await engine.flusher.flush(0);
    const dying = engine.driver(at => {
      if (at === step) throw new Crash(at);
    });
    await dying.once();
    await expectZero(engine);
    await finish();
  });
});

describe('the destination is flushed between the reading of rows and the call', () => {
  it.each([1, 2])('%i times', async times => {
    const { engine, points, to } = await open();
    await engine.flusher.flush(0);
    let reads = 0;
    const driver = engine.driver(async step => {
      // At the third attempt the driver holds the lock for which this flush would wait.
      if (step !== 'read' || ++reads > times) return;
      await points.credit(to, 1, { id: `${reads}` });
      await engine.flusher.flush(1);
    });
    await driver.once();
    expect(reads).toBe(times + 1);
    expect((await engine.inspector.partition(1))!.pendingUpdates).toBe(1);
    await engine.drain();
    expect(await inTransit(engine)).toEqual([]);
    expect(await amounts(engine, to)).toEqual([...[1, 1].slice(0, times), 10]);
  });
});

it('two drivers that send the same credit at once credit once', async () => {
  const { engine, finish } = await open();
  await engine.flusher.flush(0);
  await Promise.all([engine.driver().once(), engine.driver().once()]);
  expect((await engine.inspector.partition(1))!.pendingUpdates).toBe(1);
  await finish();
});

it('a credit that was read before the destination wrote it is refused, however late it comes', async () => {
  const { engine, driver, finish } = await open();
  await engine.flusher.flush(0);
  let release = () => {};
  const frozen = new Promise<void>(resolve => {
    release = resolve;
  });
  const sleeper = engine.driver(step => (step === 'read' ? frozen : undefined));
  const sleeping = sleeper.once();
  await driver.once();
  await engine.drain();
  expect(await inTransit(engine)).toEqual([]);
  release();
  await sleeping;
  expect((await engine.inspector.partition(1))!.pendingUpdates).toBe(0);
  await finish();
});
