// `sluice rank` on a deployment of processes with default settings: ranks, a build with its progress, a drop.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openDeployment } from '../support/command.ts';
import { until } from '../support/engine.ts';
import { temporaryFolder } from '../support/servers.ts';

const definitions = {
  counters: { best_score: { ranked: true }, clicks: {} },
  points: { loyalty: {}, constructor: {} },
} as const;

it('rank shows the first members, builds their board, and drops it', async () => {
  const deployment = await openDeployment(definitions);
  const lines = [
    ['u1', 9001],
    ['u2', 7],
    ['u3', 7],
    ['u4', 1],
  ].map(([key, by]) => JSON.stringify({ counter: 'best_score', key, by }));
  expect((await deployment.sluice(['ingest', '-'], {}, lines.join('\n'))).code).toBe(0);
  expect(await deployment.sluice(['rank', 'best_score'])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('sluice: RANKS_BUILDING: '),
  });
  const status = async (...more: string[]) => (await deployment.sluice(['status', ...more])).stdout;
  expect(JSON.parse(await status('--json')).ranks).toEqual([
    { kind: 'counter', name: 'best_score', inexactPartitions: 4 },
  ]);
  expect(await status()).toContain(
    'ranks of counter best_score are not exact now: workers build or correct 4 of 4 partitions',
  );
  expect(await deployment.sluice(['rank', 'clicks'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('sluice: NOT_RANKED: '),
  });
  expect((await deployment.sluice(['rank', 'best_scores'])).stderr).toContain('UNKNOWN_COUNTER');
  // A program may have the name of something that every object has.
  expect((await deployment.sluice(['rank', 'constructor'])).stderr).toContain('NOT_RANKED');
  const worker = await deployment.worker();
  await until(async () => {
    const { stdout } = await deployment.sluice(['rank', 'best_score', '--json']);
    return stdout.includes('"exact":true');
  }, 'a worker to build the board');
  expect(JSON.parse(await status('--json')).ranks).toEqual([]);
  const { stdout } = await deployment.sluice(['rank', 'best_score', '--top', '2', '--json']);
  expect(JSON.parse(stdout)).toEqual({
    name: 'best_score',
    size: 4,
    exact: true,
    members: [
      { rank: 1, key: 'u1', value: 9001 },
      { rank: 2, key: expect.stringMatching(/^u[23]$/), value: 7 },
    ],
  });
  const around = await deployment.sluice(['rank', 'best_score', '--around', 'u4', '--top', '2']);
  expect(around.stdout).toMatch(
    /^best_score: 4 members\nrank +key +value\n.*\n +2 +"u[23]" +7\n +4 +"u4" +1\n$/,
  );
  const built = await deployment.sluice(['rank', 'best_score', '--build', '--json']);
  expect(built.code).toBe(0);
  expect(built.stderr).toMatch(/best_score: 4 of 4 partitions are ready/);
  expect(JSON.parse(built.stdout)).toMatchObject({ size: 4, exact: true });
  expect(await deployment.sluice(['rank', 'best_score', '--drop'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('remove "ranked"'),
  });
  worker.child.kill('SIGTERM');
  expect((await worker.ended).code).toBe(0);
  const config = join(await temporaryFolder(), 'sluice.config.json');
  writeFileSync(config, '{"counters":{"best_score":{}}}');
  const dropped = await deployment.sluice(['rank', 'best_score', '--drop'], { SLUICE_CONFIG: config });
  expect(dropped).toMatchObject({ code: 0, stdout: 'best_score: the ranks are dropped\n' });
  expect((await deployment.sluice(['rank', 'best_score'])).stderr).toContain('RANKS_BUILDING');
});
