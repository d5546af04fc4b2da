// A pairing names files that it runs or leaves out. A name without a file would change nothing, unnoticed.

import { globSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { pairings } from '../support/pairings.ts';

const folder = join(import.meta.dirname, '../integration');

it('every name in a list of a pairing is that of a file', () => {
  const named = Object.values(pairings).flatMap(({ only, except = [] }) => [
    ...except,
    ...(only ? [only] : []),
  ]);
  const single = named.flatMap(name => {
    const [, before, list, after] = /^(.*)\{(.*)\}(.*)$/.exec(name) ?? [];
    return list === undefined ? [name] : list.split(',').map(one => `${before}${one}${after}`);
  });
  expect(single.length).toBeGreaterThan(10);
  for (const name of single) expect(globSync(`${name}.test.ts`, { cwd: folder }), name).not.toEqual([]);
});
