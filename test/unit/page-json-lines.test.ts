// Metadata on the page of the console: laid out, with every character of every string and number.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { jsonLines } from '../../src/console/page/json-lines.ts';

it('changes nothing but blanks outside of strings', () => {
  fc.assert(
    fc.property(fc.json({ stringUnit: 'binary' }), text => {
      const laidOut = jsonLines(text);
      expect(JSON.parse(laidOut)).toEqual(JSON.parse(text));
      expect(jsonLines(laidOut)).toBe(laidOut);
    }),
  );
});

it('is what JSON.stringify makes of it, with longer numbers', () => {
  const object = { a: [1, 'x, {y}: "z"', { b: null }], empty: {}, none: [] };
  expect(jsonLines(JSON.stringify(object))).toBe(JSON.stringify(object, null, 2));
  expect(jsonLines('{"n":12345678901234567890.10,"e":1e400}')).toBe(
    '{\n  "n": 12345678901234567890.10,\n  "e": 1e400\n}',
  );
});

it('shows a text that is no JSON', () => {
  expect(jsonLines('unfinished "text')).toContain('"text');
});
