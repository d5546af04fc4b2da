// Error numbers have the right names, and each is in one group only.

import { createRequire } from 'node:module';
import { expect, it } from 'vitest';
import * as groups from '../../src/shared/mysql/error-numbers.ts';

const root = new URL('../../', import.meta.url);
const known: Readonly<Record<string, unknown>> = createRequire(root)(
  new URL('node_modules/mysql2/lib/constants/errors.js', root).pathname,
);
const all = Object.values(groups).flatMap(group => Object.entries<number>(group));

it("a name that the client knows has the client's number", () => {
  for (const [name, number] of all) expect(known[name] ?? number, name).toBe(number);
  expect(all.filter(([name]) => name in known).length).toBeGreaterThan(100);
});

it('each name and each number is in one group', () => {
  expect(new Set(all.map(([name]) => name)).size).toBe(all.length);
  expect(new Set(all.map(([, number]) => number)).size).toBe(all.length);
});
