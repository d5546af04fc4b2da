// `within`: an answer in time, or undefined; and a process that stood still.

import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { within } from '../../src/shared/clock.ts';

function standStill(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

it('gives the answer, or undefined if the work fails or is late', async () => {
  expect(await within(Promise.resolve('answer'), 1000)).toBe('answer');
  expect(await within(Promise.reject(new Error('no')), 1000)).toBeUndefined();
  expect(await within(new Promise(() => {}), 1)).toBeUndefined();
});

it('an answer that came while the process stood still is in time', async () => {
  // After this turn of the event loop timers come first, and answers after them.
  await new Promise(resolve => setImmediate(resolve));
  const work = new Promise<number>((resolve, reject) =>
    randomBytes(1, (error, { length }) => (error ? reject(error) : resolve(length))),
  );
  const answer = within(work, 10);
  standStill(100);
  expect(await answer).toBe(1);
});
