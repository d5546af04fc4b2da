// Operations that the console starts: what is answered when MySQL goes away in between.

import { expect, it } from 'vitest';
import { operationRoutes } from '../../src/console/operations.ts';
import { quarantineRoutes } from '../../src/console/quarantine.ts';
import type { FailedUpdates } from '../../src/replay/index.ts';
import { caller, consoleParts } from '../support/console.ts';
import { until } from '../support/engine.ts';
import { mend, poisoned, quarantined } from '../support/failed.ts';

const routes = [...quarantineRoutes, ...operationRoutes];

it('an operation that was recorded is answered as such, also if MySQL goes away then', async () => {
  const engine = await poisoned(1);
  await mend(engine);
  const parts = await consoleParts(engine);
  const failed = await parts.failed();
  const lost: Partial<FailedUpdates> = {
    replay: (...args) => failed.replay(...args),
    operation: async () => {
      throw Object.assign(new Error('gone'), { code: 'ECONNREFUSED' });
    },
  };
  const call = caller(routes, { ...parts, failed: async () => lost as FailedUpdates });
  const run = {
    action: 'replay',
    all: true,
    reason: 'once',
    rate: 9.5,
    expected: 2,
    counted: { last: 2, jobs: [] },
  };
  expect(await call.post('/api/quarantine/run', run)).toMatchObject({
    status: 202,
    body: { operation: 1, reason: 'once', rate: 9.5, state: 'running', progress: { done: 0 } },
  });
  await until(async () => (await quarantined(engine)).length === 0, 'the replay');
});
