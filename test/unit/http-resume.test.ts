// An operation that this process runs is not begun a second time, and one that was stopped is continued.

import { type Logger, pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { operationRoutes } from '../../src/console/operations.ts';
import { failedRoutes } from '../../src/http/failed.ts';
import { RunningOperations } from '../../src/http/running-operations.ts';
import type { OperationReport, RunOptions } from '../../src/replay/index.ts';

const OPERATION = { operation: 5, finishedAt: null, filter: {}, jobs: [], change: null };
/** Enough for what is under way to come to its next wait. */
const turn = () => new Promise(resolve => setImmediate(resolve));

/** Operation 5, whose runs end when the test says so. They are recorded after `recorded`. */
function operation() {
  const runs: { readonly signal: AbortSignal; readonly end: () => void }[] = [];
  const recorded = Promise.withResolvers<void>();
  const logged: Record<string, unknown>[] = [];
  const log: Logger = pino({ base: null }, { write: line => logged.push(JSON.parse(line)) });
  const running = new RunningOperations(log);
  const failed = {
    operation: async () => OPERATION,
    resume: async (_actions: unknown, _id: number, { signal, onStart }: RunOptions) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      runs.push({ signal: signal!, end: resolve });
      await recorded.promise;
      onStart!(5, OPERATION as never);
      await promise;
      return {} as OperationReport;
    },
  };
  return { runs, recorded, running, logged, parts: { running, log, failed: async () => failed } as never };
}

const call = {
  params: { id: 5 },
  reply: { header: () => {}, request: { ip: 'test' } },
  access: { key: { name: 'olga' } },
  asker: { name: 'olga', address: 'test', seesPayloads: true },
} as never;
const handlerOf = (routes: typeof failedRoutes | typeof operationRoutes, end: string) =>
  routes.find(({ path }) => path.endsWith(end))!.handle as (call: never, parts: never) => Promise<unknown>;

describe.each([
  ['the API', handlerOf(failedRoutes, '/resume'), handlerOf(failedRoutes, '/cancel')],
  ['the console', handlerOf(operationRoutes, '/resume'), handlerOf(operationRoutes, '/stop')],
])('by %s', (_, resume, stop) => {
  it('two resumes at once are one run, which a stop ends', async () => {
    const { runs, recorded, running, parts } = operation();
    const both = Promise.all([resume(call, parts), resume(call, parts)]);
    await turn();
    recorded.resolve();
    const answer = { status: 202, body: { operation: 5, progress: { done: 0, total: null } } };
    expect(await both).toMatchObject([answer, answer]);
    expect(await resume(call, parts)).toMatchObject(answer);
    expect(runs).toHaveLength(1);
    await stop(call, parts);
    expect(runs[0]!.signal.aborted).toBe(true);
    runs[0]!.end();
    await running.close();
  });

  it('a resume after a stop goes on when the run has ended', async () => {
    const { runs, recorded, running, logged, parts } = operation();
    recorded.resolve();
    await resume(call, parts);
    await stop(call, parts);
    const by = { operation: 5, operator: expect.stringMatching(/^(key:)?olga$/), address: 'test' };
    expect(logged).toMatchObject([by, by]);
    const again = Promise.all([resume(call, parts), resume(call, parts)]);
    await turn();
    // Not beside the one that is at its last update.
    expect(runs).toHaveLength(1);
    runs[0]!.end();
    await again;
    expect(runs.map(({ signal }) => signal.aborted)).toEqual([true, false]);
    runs[1]!.end();
    await running.close();
  });

  it('the end of the process stops also what is not recorded yet', async () => {
    const { runs, recorded, running, parts } = operation();
    const started = resume(call, parts);
    await turn();
    const closed = running.close();
    expect(runs[0]!.signal.aborted).toBe(true);
    recorded.resolve();
    runs[0]!.end();
    await Promise.all([started, closed]);
  });
});
