// No constant of the capacity model is more optimistic than the latest measurement.

import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { measured, type Source } from '../../src/cli/plan-measured.ts';

interface Result {
  readonly file: string;
  readonly scenarios: readonly {
    readonly name: string;
    readonly median: number;
    readonly details: Readonly<Record<string, number>>;
  }[];
}

const folder = new URL('../../bench/results/', import.meta.url);
/** Newest first. */
const results: Result[] = readdirSync(folder)
  .filter(file => file.endsWith('.json'))
  .toSorted()
  .reverse()
  .map(file => ({ file, ...JSON.parse(readFileSync(new URL(file, folder), 'utf8')) }));

const constants = Object.entries<{ value: number; from: Source }>(measured);

/** The figure in the newest result that has it. */
function measuredLast(from: Exclude<Source, 'assumed' | { memory: string }>) {
  for (const { file, scenarios } of results) {
    const found = scenarios.find(({ name }) => name === from.scenario);
    const figures: Record<string, number> = { ...found?.details, ...(found && { median: found.median }) };
    const above = figures[from.figure];
    const below = from.per === undefined ? 1 : figures[from.per];
    if (above === undefined || below === undefined) continue;
    const figure = above / below;
    if (from.as === 'microseconds of busy cores') return { file, value: figure * 1e6 };
    return { file, value: figure };
  }
  return undefined;
}

it.each(constants.filter(([, { from }]) => typeof from === 'object' && 'scenario' in from))(
  '%s is not more optimistic than its benchmark',
  (_, { value, from }) => {
    const source = from as Exclude<Source, 'assumed' | { memory: string }>;
    const last = measuredLast(source);
    expect(last, `no result has ${source.figure} of ${source.scenario}`).toBeDefined();
    const optimism = source.as === 'rate' ? value / last!.value : last!.value / value;
    expect(optimism, `${value} against ${last!.value} of ${last!.file}`).toBeLessThanOrEqual(1);
    // A value far from it was forgotten.
    expect(optimism, `${value} against ${last!.value} of ${last!.file}`).toBeGreaterThan(0.5);
  },
);

it.each(constants.filter(([, { from }]) => typeof from === 'object' && 'memory' in from))(
  '%s is the largest figure of docs/memory.md',
  (_, { value, from }) => {
    const page = readFileSync(new URL('../../docs/memory.md', import.meta.url), 'utf8');
    const [head, , ...rows] = page
      .split('\n')
      .filter(line => line.startsWith('| '))
      .map(line => line.split('|').map(cell => cell.trim()));
    const column = head!.indexOf((from as { memory: string }).memory);
    expect(column).toBeGreaterThan(0);
    const servers = rows.filter(row => /\d/.test(row[1]!));
    const figures = servers.map(row => Number(row[column]));
    expect(figures.length).toBeGreaterThan(1);
    expect(value).toBe(Math.max(...figures));
  },
);

it('each constant has a comment', () => {
  const code = readFileSync(new URL('../../src/cli/plan-measured.ts', import.meta.url), 'utf8');
  for (const [name] of constants) expect(code).toMatch(new RegExp(`\\*/\\n  ${name}: `));
});
