// What the page of the console sends: JSON as `JSON.stringify` makes it, and typed JSON with all its digits.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { jsonOf, TypedJson } from '../../src/console/page/api.ts';

it('plain data is written as JSON.stringify writes it', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string(), (value, name) => {
      const body = { [name]: value, left: undefined, list: [value, { value }] };
      expect(jsonOf(body)).toBe(JSON.stringify(body));
    }),
  );
});

it('a typed text stays as it is, and one that is not whole JSON is refused', () => {
  const typed = new TypedJson('{"a": 123456789012345.678, "b":1e400,"a":2}');
  expect(jsonOf({ change: { metadata: typed }, all: true })).toBe(
    '{"change":{"metadata":{"a": 123456789012345.678, "b":1e400,"a":2}},"all":true}',
  );
  for (const text of ['{"a":1},"all":true', '', '{', '{"a":NaN}'])
    expect(() => new TypedJson(text)).toThrow(SyntaxError);
});
