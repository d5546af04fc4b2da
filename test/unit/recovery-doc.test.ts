// docs/recovery.md names every verdict, and only commands, metrics, codes and settings that exist.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { VERDICTS } from '../../src/recovery/evidence.ts';
import { environmentName, settingNames } from '../../src/shared/config/settings.ts';
import { PartitionHaltedError } from '../../src/shared/errors.ts';
import { WorkerMetrics } from '../../src/worker/metrics.ts';
import { sluice } from '../support/command.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const page = read('docs/recovery.md');
const all = (pattern: RegExp) => [...new Set([...page.matchAll(pattern)].map(match => match[1]!))];

it('the page explains every verdict', () => {
  expect(all(/^\| `([A-Z_]+)` \|/gm).toSorted()).toEqual(VERDICTS.toSorted());
});

it('the page names only codes, metrics and settings that exist', async () => {
  for (const code of ['DATABASE_WENT_BACK', 'REDIS_BACKUP_RESTORED'] as const)
    expect(new PartitionHaltedError(code, 0, 1, 2).message).toContain('docs/recovery.md');
  // The worker adds the lag's gauge at each scrape.
  for (const name of all(/`(sluice_[a-z_]+_(?:total|seconds))/g))
    if (name !== 'sluice_flush_lag_seconds')
      expect(new WorkerMetrics().registry.getSingleMetric(name), name).toBeDefined();
  for (const name of all(/(SLUICE_[A-Z_]+)/g)) expect(settingNames.map(environmentName)).toContain(name);
});

it('the page gives only commands that exist', async () => {
  const commands = all(/(?:^|`)(sluice [a-z].*?)(?: {2,}#.*)?(?:`|$)/gm);
  expect(commands.length).toBeGreaterThan(4);
  const calls = commands.map(command => command.split(' ').slice(1));
  const names = [...new Set(calls.map(([name]) => name!))];
  const helps = new Map(
    await Promise.all(names.map(async name => [name, await sluice([name, '--help'], {})] as const)),
  );
  for (const [name, ...args] of calls) {
    const { code, stdout } = helps.get(name!)!;
    expect(code, name).toBe(0);
    for (const option of args.filter(arg => arg.startsWith('--'))) expect(stdout, name).toContain(option);
  }
});

it('docs/guarantees.md links to the page', () => {
  expect(read('docs/guarantees.md')).toContain('](recovery.md)');
});
