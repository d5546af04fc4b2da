// examples/shop/CAPACITY.md shows what `sluice plan` prints, and its sums are right.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { Zipf } from '../../src/cli/plan-zipf.ts';
import { sluice } from '../support/command.ts';

const page = readFileSync(new URL('../../examples/shop/CAPACITY.md', import.meta.url), 'utf8');
const examples = [...page.matchAll(/```console\n\$ sluice ([^\n]*)\n(.*?)```/gs)];

/** The rows of the table below a heading, without its head: cells as they are written. */
function tableOf(heading: string): string[][] {
  const part = page.split(`## ${heading}\n`)[1]!.split('\n## ')[0]!;
  const lines = part.split('\n').filter(line => line.startsWith('| '));
  return lines.slice(2).map(line =>
    line
      .split('|')
      .slice(1, -1)
      .map(cell => cell.trim().replaceAll('*', '')),
  );
}

const number = (cell: string) => Number(/[\d,]+(?:\.\d+)?/.exec(cell)![0].replaceAll(',', ''));

it('the page has three examples', () => {
  expect(examples).toHaveLength(3);
});

it.each(examples.map(([, args, output]) => [args!, output!]))(
  '`sluice %s` prints what the page of the shop shows',
  async (args, output) => {
    expect(await sluice(args.split(' '), {})).toEqual({ code: 0, stdout: output, stderr: '' });
  },
);

it.each([
  ['The mix', 1],
  ['The Redis that they share', 1],
  ['The Redis that they share', 2],
  ['The Redis that they share', 3],
  ['What it costs', 1],
])('the last row of "%s" is the sum of column %i', (heading, column) => {
  const figures = tableOf(heading).map(row => number(row[column]!));
  const sum = figures.slice(0, -1).reduce((one, other) => one + other, 0);
  expect(figures.at(-1)).toBeCloseTo(sum, 2);
});

it('the updates and entries of the plan are those of the mix', () => {
  const mix = new Map(tableOf('The mix').map(([requests, rate]) => [requests!, number(rate!)]));
  const views = mix.get('`POST /products/:id/views`')!;
  const credits = mix.get('`POST /accounts/:account/credits`')!;
  expect(examples[0]![1]).toContain(`--updates ${2 * views} `);
  expect(examples[0]![1]).toContain(`--entries ${credits} `);
});

it('the reads that reach the Redis of the cache follow from its time in memory', () => {
  const reads = (processes: number) => {
    const seconds = 30;
    const reaching = ([rate, keys]: readonly [number, number]) =>
      (new Zipf(keys, 1).distinct((rate / processes) * seconds) / seconds) * processes;
    const kinds = [[13_500, 10_000] as const, [3000, 100_000] as const, [1500, 600] as const];
    return Math.round(kinds.reduce((sum, kind) => sum + reaching(kind), 0)).toLocaleString('en');
  };
  expect(page).toContain(`ask Redis for ${reads(30)} of`);
  expect(page.replaceAll('\n', ' ')).toContain(`24 processes they are ${reads(24)}, with 48 ${reads(48)}:`);
});
