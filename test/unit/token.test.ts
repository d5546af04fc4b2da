// Operators type names that begin with a token as arguments of the command line.

import { expect, it } from 'vitest';
import { randomToken } from '../../src/shared/clock.ts';

it('no token looks like an option, and none comes twice', () => {
  const tokens = Array.from({ length: 10_000 }, () => randomToken());
  expect(tokens.filter(token => !/^[A-Za-z0-9_][A-Za-z0-9_-]{15}$/.test(token))).toEqual([]);
  expect(new Set(tokens).size).toBe(tokens.length);
});
