// When the watchdog restarts a consumer and when not, with a fake queue and a fake clock.

import { Counter, Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { createLog } from '../../src/shared/log.ts';
import { Watchdog } from '../../src/worker/watchdog.ts';

const WATCHDOG_MS = 10_000;

function openWatchdog() {
  const queue = { waiting: 0, paused: false, answers: true };
  const answer = async <Value>(value: Value) => {
    if (!queue.answers) throw new Error('away');
    return value;
  };
  const circuit = { isOpen: false };
  let now = 1_000_000;
  let restarts = 0;
  const watchdog = new Watchdog({
    queue: {
      getWaitingCount: () => answer(queue.waiting),
      isPaused: () => answer(queue.paused),
    },
    circuit,
    settings: { watchdogMs: WATCHDOG_MS, concurrency: 2 },
    restarts: new Counter({ name: 'restarts', help: 'restarts', registers: [new Registry()] }),
    clock: { now: () => now },
    log: createLog('silent', 'stderr'),
    restart: async () => {
      restarts++;
    },
  });
  return {
    queue,
    circuit,
    watchdog,
    restarts: () => restarts,
    /** Advances the clock and looks once a second. */
    async pass(ms: number) {
      for (const end = now + ms; now < end; ) {
        now += 1000;
        await watchdog.look();
      }
    },
    /** A job that runs until the returned function ends it. */
    job() {
      let end = () => {};
      const ended = watchdog.during(
        () =>
          new Promise<void>(resolve => {
            end = resolve;
          }),
      );
      return async () => {
        end();
        await ended;
      };
    },
  };
}

it('a consumer that starts no job while jobs wait is restarted', async () => {
  const { queue, pass, restarts } = openWatchdog();
  queue.waiting = 1;
  await pass(WATCHDOG_MS);
  expect(restarts()).toBe(0);
  await pass(1000);
  expect(restarts()).toBe(1);
  // The new consumer has the whole time again.
  await pass(WATCHDOG_MS);
  expect(restarts()).toBe(1);
  await pass(1000);
  expect(restarts()).toBe(2);
});

it('the time counts from the arrival of work, not from the last job', async () => {
  const { queue, pass, restarts } = openWatchdog();
  await pass(10 * WATCHDOG_MS);
  queue.waiting = 1;
  await pass(WATCHDOG_MS);
  expect(restarts()).toBe(0);
});

it('a consumer that starts jobs is left alone, however many wait', async () => {
  const { queue, pass, restarts, job } = openWatchdog();
  queue.waiting = 100;
  for (let i = 0; i < 20; i++) {
    await pass(WATCHDOG_MS - 1000);
    await job()();
  }
  expect(restarts()).toBe(0);
});

it('a consumer full of long jobs is left alone, one with a free slot is not', async () => {
  const { queue, pass, restarts, job } = openWatchdog();
  queue.waiting = 5;
  const ends = [job(), job()];
  await pass(10 * WATCHDOG_MS);
  expect(restarts()).toBe(0);
  await ends[0]!();
  await pass(WATCHDOG_MS + 1000);
  expect(restarts()).toBe(1);
  // A job that the old consumer left running takes no slot of the new one.
  await job()();
  await pass(WATCHDOG_MS + 1000);
  expect(restarts()).toBe(2);
  await ends[1]!();
});

it.each<[string, (parts: ReturnType<typeof openWatchdog>) => void]>([
  ['the queue is idle', ({ queue }) => Object.assign(queue, { waiting: 0 })],
  ['the queue is paused', ({ queue }) => Object.assign(queue, { paused: true })],
  ['Redis is away', ({ queue }) => Object.assign(queue, { answers: false })],
  ['MySQL is away', ({ circuit }) => Object.assign(circuit, { isOpen: true })],
])('the watchdog does nothing while %s, and the whole time counts again afterwards', async (_, happen) => {
  const parts = openWatchdog();
  const { queue, circuit, pass, restarts } = parts;
  queue.waiting = 1;
  await pass(WATCHDOG_MS - 1000);
  happen(parts);
  await pass(10 * WATCHDOG_MS);
  Object.assign(queue, { waiting: 1, paused: false, answers: true });
  circuit.isOpen = false;
  await pass(WATCHDOG_MS);
  expect(restarts()).toBe(0);
  await pass(1000);
  expect(restarts()).toBe(1);
});
