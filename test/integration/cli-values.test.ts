// Values on the command line: a file that is sent twice, ranks, a comparison.

import { expect, it } from 'vitest';
import { openDeployment } from '../support/command.ts';
import { until } from '../support/engine.ts';

const definitions = {
  counters: { views: {} },
  values: { best_score: { keep: 'max', ranked: true }, last_seen: { keep: 'last' } },
} as const;

it('a file with puts may be sent twice, and the ranks show who is best', async () => {
  const deployment = await openDeployment(definitions);
  const lines = Array.from({ length: 300 }, (_, n) => [
    { value: 'best_score', key: `u${n % 7}`, is: (n * 37) % 101 },
    { value: 'last_seen', key: `u${n % 7}`, is: n },
    { counter: 'views', key: `u${n % 7}` },
  ]).flat();
  const text = lines.map(line => JSON.stringify(line)).join('\n');
  await deployment.worker();
  for (const duplicates of [0, 300]) {
    const { stdout } = await deployment.sluice(['ingest', '-', '--run', 'night', '--json'], {}, text);
    expect(JSON.parse(stdout)).toMatchObject({
      lines: 900,
      accepted: 900 - duplicates,
      duplicates,
      rejected: 0,
    });
  }
  const best = (key: number) =>
    Math.max(...Array.from({ length: 300 }, (_, n) => (n % 7 === key ? (n * 37) % 101 : -1)));
  const members = Array.from({ length: 7 }, (_, key) => ({ key: `u${key}`, value: best(key) }));
  await until(async () => {
    const { stdout } = await deployment.sluice(['rank', 'best_score', '--json']);
    return stdout.includes('"exact":true');
  }, 'the ranks');
  const { stdout } = await deployment.sluice(['rank', 'best_score', '--json']);
  const shown: { key: string; value: number }[] = JSON.parse(stdout).members;
  expect(
    shown.map(({ key, value }) => ({ key, value })).toSorted((a, b) => (a.key < b.key ? -1 : 1)),
  ).toEqual(members);
  await deployment.sluice(['drain']);
  expect(await deployment.sluice(['verify'])).toMatchObject({ code: 0 });
  expect((await deployment.sluice(['rank', 'last_seen'])).stderr).toContain('NOT_RANKED');
});
