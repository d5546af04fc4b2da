// An operation that this process runs is not begun a second time.

import { expect, it } from 'vitest';
import { failedRoutes } from '../../src/http/failed.ts';

it('a resume of an operation that runs here starts no second run', async () => {
  const { handle } = failedRoutes.find(({ path }) => path === '/v1/operations/{id}/resume')!;
  const headers: string[] = [];
  let resumed = 0;
  let progress: { done: number; total: number } | undefined = { done: 1, total: 3 };
  const failed = {
    operation: async () => ({ operation: 5 }),
    resume: async (_actions: unknown, _id: number, options: { onStart(operation: number): void }) => {
      resumed++;
      options.onStart(5);
    },
  };
  const running = {
    progressOf: () => progress,
    start: (run: (options: object) => Promise<unknown>) =>
      new Promise(resolve => void run({ onStart: resolve })),
  };
  const reply = { header: (...header: string[]) => headers.push(header.join(': ')) };
  const resume = () =>
    handle({ params: { id: 5 }, reply } as never, { failed: async () => failed, running } as never);
  expect(await resume()).toMatchObject({ status: 202, body: { operation: 5, progress } });
  expect([resumed, headers]).toEqual([0, ['location: /v1/operations/5']]);
  progress = undefined;
  expect(await resume()).toMatchObject({ status: 202, body: { progress: null } });
  expect(resumed).toBe(1);
});
