// Error numbers stand beside the right names, and in one group each.

import { createRequire } from 'node:module';
import { expect, it } from 'vitest';
import * as groups from '../../src/shared/mysql-error-numbers.ts';

const root = new URL('../../', import.meta.url);
const known: Readonly<Record<string, unknown>> = createRequire(root)(
  new URL('node_modules/mysql2/lib/constants/errors.js', root).pathname,
);
const all = Object.values(groups).flatMap(group => Object.entries<number>(group));

it('names that the client knows have its numbers', () => {
  for (const [name, number] of all) expect(known[name] ?? number, name).toBe(number);
  expect(all.filter(([name]) => name in known).length).toBeGreaterThan(100);
});

it('names and numbers are in one group', () => {
  expect(new Set(all.map(([name]) => name)).size).toBe(all.length);
  expect(new Set(all.map(([, number]) => number)).size).toBe(all.length);
});
