// docs/capacity.md shows what `sluice plan` prints, and names only options and constants that exist.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { capacityFile, capacityPage } from '../../scripts/generate.ts';
import { loadCatalogue, optionName } from '../../src/cli/plan-load.ts';
import { measured, type Source } from '../../src/cli/plan-measured.ts';
import { sluice } from '../support/command.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const page = readFileSync(capacityFile, 'utf8');
const examples = [...page.matchAll(/```console\n\$ sluice ([^\n]*)\n(.*?)```/gs)];

it('the page has two examples', () => {
  expect(examples).toHaveLength(2);
});

it.each(examples.map(([, args, output]) => [args!, output!]))(
  '`sluice %s` prints what the page shows',
  async (args, output) => {
    expect(await sluice(args.split(' '), {})).toEqual({ code: 0, stdout: output, stderr: '' });
  },
);

it('the page shows the constants of the code', () => {
  expect(page).toBe(capacityPage(page));
  const sources = Object.values<{ from: Source }>(measured).flatMap(({ from }) =>
    typeof from === 'object' && 'scenario' in from ? [from.figure, from.per] : [],
  );
  for (const [, name] of page.matchAll(/`((?:redis|mysql|worker)[A-Z]\w+)`/g))
    expect([...Object.keys(measured), ...sources]).toContain(name);
});

it('every option that the page names exists', () => {
  const options = [...Object.keys(loadCatalogue), 'partitions', 'json'].map(optionName);
  for (const [option] of page.matchAll(/--[a-z][a-z-]*/g)) expect(options).toContain(option);
});

it('the pages of its readers link to it', () => {
  expect(read('README.md')).toContain('](docs/capacity.md)');
  expect(read('docs/operating.md')).toContain('](capacity.md)');
  expect(read('docs/memory.md')).toContain('](capacity.md)');
  expect(read('deploy/ecs/README.md')).toContain('docs/capacity.md');
});
