// Keys in users' string columns are as exact as in Sluice's tables: none is merged or cut.

import { describe, expect, it } from 'vitest';
import { allKeys } from '../../src/shared/values/tables.ts';
import { exactCollation, openShop } from '../support/mapped.ts';

describe('string keys', () => {
  const keys = [
    'a',
    'A',
    'á',
    'a\u0301',
    'a ',
    ' a',
    'a\t',
    'a\0',
    '\0',
    'ａ',
    'ß',
    'ss',
    'ẞ',
    '😀',
    '🙂',
    'i',
    'İ',
    'ı',
    '%',
    "'",
    '"',
    '`',
    '\\',
    '?',
    '1',
    '01',
    'k',
    'K',
  ];
  const types = [
    ['VARBINARY', () => 'VARBINARY(40)', '😀'.repeat(11)],
    ['VARCHAR', () => `VARCHAR(40) CHARACTER SET utf8mb4 COLLATE ${exactCollation()}`, '😀'.repeat(41)],
  ] as const;
  for (const [name, type, tooLong] of types) {
    it(`are exact on ${name}, and a longer one is quarantined`, async () => {
      const shop = await openShop(
        {
          counters: { hits: { target: { table: 'pages', key: 'path', column: 'hits', missing: 'insert' } } },
        },
        `CREATE TABLE pages (path ${type()} NOT NULL, hits BIGINT NOT NULL, UNIQUE KEY (path))`,
        "INSERT INTO pages VALUES ('a', 1000)",
      );
      const hits = shop.sluice.counter('hits');
      const expected = keys.map((key, at) => at + 1 + (key === 'a' ? 1000 : 0));
      await Promise.all(keys.map((key, at) => hits.increment(key, at + 1)));
      await hits.increment(tooLong);
      await shop.drain();
      const rows = await shop.database.query('SELECT path, hits FROM pages');
      expect(new Map(rows.map(row => [String(row.path), Number(row.hits)]))).toEqual(
        new Map(keys.map((key, at) => [key, expected[at]])),
      );
      expect(await shop.quarantined()).toEqual([`${tooLong} 1 TARGET_KEY_NOT_CANONICAL`]);
      await shop.forget();
      expect(await hits.getMany(keys)).toEqual(expected);
      const paged: string[] = [];
      for await (const page of allKeys(shop.tables.of('c', 'hits'), shop.database, 'hits', 5))
        paged.push(...page);
      expect(paged.toSorted()).toEqual(keys.toSorted());
    });
  }
});
