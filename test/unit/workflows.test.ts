// The workflows parse, pin their actions, and call only scripts and files that exist.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';

interface Workflow {
  on: { push?: { tags?: string[] } };
  permissions: Record<string, string>;
  jobs: Record<string, { 'timeout-minutes': number; steps: { uses?: string; run?: string }[] }>;
}

const root = join(import.meta.dirname, '../..');
const folder = join(root, '.github/workflows');
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const read = (file: string): Workflow => parse(readFileSync(join(folder, file), 'utf8'));
const steps = (workflow: Workflow) => Object.values(workflow.jobs).flatMap(job => job.steps);
const commands = (workflow: Workflow) => steps(workflow).flatMap(({ run }) => run ?? []);

it.each(readdirSync(folder))('%s calls existing scripts, has a time limit, and pins its actions', file => {
  const workflow = read(file);
  for (const job of Object.values(workflow.jobs)) expect(job['timeout-minutes']).toBeGreaterThan(0);
  for (const { uses } of steps(workflow)) expect(uses ?? '@'.padEnd(41, '0')).toMatch(/@[0-9a-f]{40}$/);
  for (const command of commands(workflow)) {
    for (const [, script] of command.matchAll(/npm run (?:--silent )?(\S+)/g))
      expect(scripts).toHaveProperty(script!);
    for (const [, path] of command.matchAll(/bash (\S+)/g))
      expect(existsSync(join(root, path!)), path).toBe(true);
  }
});

it('every push runs what CI runs', () => {
  expect(read('checks.yml').on).toHaveProperty('push');
  expect(commands(read('checks.yml'))).toEqual(['bash .ci/run']);
});

it('a tag is checked, packed, published with provenance, and released with its bill of materials', () => {
  const release = read('release.yml');
  expect(release.on.push!.tags).toEqual(['v*']);
  expect(release.permissions).toMatchObject({ 'id-token': 'write' });
  const order = [
    'bash .ci/run',
    'npm pack',
    'npm run --silent sbom',
    'npm publish --provenance',
    'gh release create',
  ];
  const found = order.map(start => commands(release).findIndex(command => command.startsWith(start)));
  expect(found).not.toContain(-1);
  expect(found).toEqual(found.toSorted((a, b) => a - b));
});
