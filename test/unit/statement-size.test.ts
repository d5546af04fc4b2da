// Bytes of a statement are counted as the client writes them, and lists are split by that count.

import { Buffer } from 'node:buffer';
import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { escape as literal } from 'mysql2';
import type { PoolConnection } from 'mysql2/promise';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../src/shared/limits.ts';
import {
  jsonParts,
  keyLists,
  LARGEST_ITEM,
  LEAST_PACKET,
  literalBytes,
  notePacket,
  roomFor,
  sortedJson,
} from '../../src/shared/mysql/statement-size.ts';

const connection = (packet?: number) => {
  const fake = { connection: {} } as unknown as PoolConnection;
  if (packet !== undefined) notePacket(fake, packet);
  return fake;
};
const bytes = (value: Parameters<typeof literal>[0]) => Buffer.byteLength(literal(value));
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.string({
    unit: fc.constantFrom(
      '\0',
      '\b',
      '\t',
      '\n',
      '\r',
      '\x1a',
      '"',
      "'",
      '\\',
      '\x01',
      '\x7f',
      'é',
      '한',
      '😀',
    ),
  }),
);

describe('literalBytes', () => {
  it('counts the bytes that the client writes', () => {
    fc.assert(
      fc.property(text, value => {
        expect(literalBytes(value)).toBe(bytes(value));
        const json = JSON.stringify([value, JSON.stringify({ value })]);
        expect(literalBytes(json)).toBe(bytes(json));
      }),
      { numRuns: 2000 },
    );
  });

  it("counts a lone surrogate as UTF-8's replacement character", () => {
    for (const value of ['\ud83d', 'a\ud83d', '\ud83da', '\ude00\ud83d', '\ud83d\ud83d\ude00'])
      expect(literalBytes(value)).toBe(bytes(value));
  });
});

const byText = (one: unknown, other: unknown) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1);

describe('parts of a list', () => {
  const lists = fc.array(fc.tuple(text, fc.integer()), { maxLength: 60 });

  it('hold every row once, in order, and fit into the packet', () => {
    fc.assert(
      fc.property(
        lists,
        fc.integer({ min: 1, max: 2 }),
        fc.integer({ min: 0, max: 600 }),
        (rows, copies, room) => {
          const session = connection(8 * 1024 + room);
          const found = [...jsonParts(session, rows, row => row, copies)];
          expect(found.flatMap(part => part.rows)).toEqual(rows);
          for (const part of found) {
            expect(JSON.parse(part.json.text)).toEqual(part.rows);
            if (part.rows.length > 1)
              expect(copies * bytes(part.json)).toBeLessThanOrEqual(roomFor(session) + 8);
          }
        },
      ),
    );
  });

  it('are literals of which only quotes and backslashes are escaped', () => {
    fc.assert(
      fc.property(lists, rows => {
        for (const { json } of jsonParts(connection(16 * 1024 * 1024), rows, row => row)) {
          const inside = json.toSqlString().slice(1, -1);
          expect(inside).toMatch(/^(?:[^'\\\p{Cc}]|[\x7f-\x9f]|\\['\\])*$/u);
          expect(inside.replaceAll(/\\(.)/g, '$1')).toBe(json.text);
        }
      }),
    );
  });

  it('may be in the order of their texts', () => {
    fc.assert(
      fc.property(lists, fc.integer({ min: 0, max: 600 }), (rows, room) => {
        const session = connection(8 * 1024 + room);
        const found = [...sortedJson(session, rows, row => row)];
        const texts = found.flatMap(({ text }) => JSON.parse(text)).map(row => JSON.stringify(row));
        expect(texts).toEqual(rows.map(row => JSON.stringify(row)).sort());
        expect(found).toHaveLength([...jsonParts(session, rows.toSorted(byText), row => row)].length);
      }),
    );
  });

  it('are as few as can be', () => {
    const rows = Array.from({ length: 5000 }, (_, number) => [`name`, `/path/of/a/page/${number}`, 1]);
    expect([...jsonParts(connection(16 * 1024 * 1024), rows, row => row)]).toHaveLength(1);
    expect([...jsonParts(connection(), [], row => row)]).toEqual([]);
  });

  it('of a list of keys hold them all and fit into the packet', () => {
    const keys = fc.array(
      fc.oneof(
        text,
        fc.bigInt(),
        text.map(value => Buffer.from(value)),
        fc.tuple(fc.bigInt(), text),
      ),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(
        keys,
        fc.integer({ min: 0, max: 600 }),
        fc.integer({ min: 1, max: 30 }),
        (all, room, most) => {
          const session = connection(8 * 1024 + room);
          const found = [...keyLists(session, all, most)];
          expect(found.flat(1)).toEqual(all);
          for (const list of found) {
            expect(list.length).toBeLessThanOrEqual(most);
            if (list.length > 1) expect(bytes(list)).toBeLessThanOrEqual(roomFor(session));
          }
        },
      ),
    );
  });
});

it('the smallest packet has room for the largest single item', () => {
  const worst = (limit: number) => '\x01'.repeat(limit);
  const quotes = JSON.stringify({ q: '"'.repeat((LIMITS.metadata - 8) / 2) });
  const name = 'n'.repeat(64);
  const number = Number.MIN_SAFE_INTEGER;
  const [account, reason] = [worst(LIMITS.account), worst(LIMITS.reason)];
  const entry = [name, account, worst(LIMITS.id), number, reason, account, quotes];
  const row = JSON.stringify(['18446744073709551615', ...entry, number, number, 't'.repeat(64)]);
  const counter = JSON.stringify([name, worst(LIMITS.key), number]);
  const ids = JSON.stringify([entry.slice(0, 3)]);
  const aside = [65535, number, 'entry', Buffer.from(name), Buffer.from(worst(LIMITS.key)), number];
  const quarantined = [...aside, Buffer.from(worst(LIMITS.id)), 'E'.repeat(64), JSON.stringify(entry)];
  for (const values of [[65535, row], [counter], [ids, ids], quarantined])
    expect(bytes(values)).toBeLessThanOrEqual(LARGEST_ITEM);
  // A composite key travels as its text and as its parts.
  for (const character of ['\x01', '"', '\\', "'", 'x']) {
    const parts = ['', 'p'];
    for (
      let key = parts;
      Buffer.byteLength(JSON.stringify(key)) <= LIMITS.key;
      key = [key[0] + character, 'p']
    )
      parts[0] = key[0]!;
    expect(bytes(JSON.stringify([[name, JSON.stringify(parts), parts]]))).toBeLessThanOrEqual(LARGEST_ITEM);
  }
  // A bound far above the real size would refuse servers that suffice.
  expect(bytes(quarantined)).toBeGreaterThan(LARGEST_ITEM * 0.9);
  expect(roomFor(connection(LEAST_PACKET))).toBeGreaterThanOrEqual(LARGEST_ITEM);
});

it('docs/configuration.md names the smallest packet', async () => {
  const page = await readFile(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
  expect(page).toContain(`| \`max_allowed_packet\` | ${LEAST_PACKET} bytes |`);
});
