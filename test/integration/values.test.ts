// Values that are kept instead of summed: the greatest put, the least, or the last.

import { describe, expect, it } from 'vitest';
import { exactCollation, openShop } from '../support/mapped.ts';

const definitions = {
  counters: { best: {} },
  values: { best: { keep: 'max' }, least: { keep: 'min' }, seen: { keep: 'last' } },
} as const;

const rows = async ({ database }: Awaited<ReturnType<typeof openShop>>) =>
  (
    await database.query('SELECT name, value_key, value, version FROM sluice_values ORDER BY name, value_key')
  ).map(({ name, value_key, value }) => `${name} ${value_key} ${value}`);

describe('a value', () => {
  it('keeps the greatest, the least or the last put: pending, in MySQL, and live again', async () => {
    const shop = await openShop(definitions);
    const { sluice } = shop;
    const [best, least, seen] = [sluice.value('best'), sluice.value('least'), sluice.value('seen')];
    for (const value of [best, least, seen]) expect(await value.get('u')).toBeNull();
    for (const is of [5, -3, 9, 0, 7]) for (const value of [best, least, seen]) await value.put('u', is);
    const all = async () => [await best.get('u'), await least.get('u'), await seen.get('u')];
    expect(await all()).toEqual([9, -3, 7]);
    await shop.forget();
    expect(await all()).toEqual([9, -3, 7]);
    await shop.drain();
    expect(await rows(shop)).toEqual(['best u 9', 'least u -3', 'seen u 7']);
    await shop.forget();
    for (const value of [best, least, seen]) await value.put('u', 1);
    expect(await all()).toEqual([9, -3, 1]);
    await shop.drain();
    expect(await rows(shop)).toEqual(['best u 9', 'least u -3', 'seen u 1']);
    // A counter may have the same name and key.
    await sluice.counter('best').increment('u', 100);
    await shop.drain();
    expect(await sluice.counter('best').get('u')).toBe(100);
    expect(await all()).toEqual([9, -3, 1]);
    expect(await shop.verify()).toEqual({ drift: [], ledger: [] });
  });

  it('of one turn is one put; each call is told the value that is kept', async () => {
    const { sluice } = await openShop(definitions);
    await Promise.all([sluice.value('best').get('a'), sluice.value('seen').get('a')]);
    const puts = [3, 8, 2].map(is => [sluice.value('best').put('a', is), sluice.value('seen').put('a', is)]);
    const receipts = await Promise.all(puts.flat());
    expect(receipts.map(({ value }) => value)).toEqual([8, 2, 8, 2, 8, 2]);
    expect((await sluice.value('best').put('cold', 4)).value).toBeNull();
    expect(await sluice.value('best').getMany(['cold', 'none', 'a'])).toEqual([4, null, 8]);
    const results = await sluice.apply([
      { value: 'seen', key: 'a', is: -7 },
      { value: 'seen', key: 'a', is: 0 },
      { value: 'best', key: 'a', is: 1.5 },
      { value: 'nobody', key: 'a', is: 1 },
      { value: 'best', key: '', is: 1 },
      { value: 'best', key: 'a', is: 1, id: 'x' } as never,
    ]);
    expect(results.map(result => (result.ok ? result.value : result.error.code))).toEqual([
      0,
      0,
      'INVALID_AMOUNT',
      'UNKNOWN_VALUE',
      'INVALID_KEY',
      'INVALID_UPDATE',
    ]);
  });

  it('has receipts, and a receipt of another process', async () => {
    const shop = await openShop(definitions);
    const receipt = await shop.sluice.value('seen').put('k', 1);
    await shop.worker();
    await receipt.persisted();
    expect(await rows(shop)).toEqual(['seen k 1']);
    await shop.sluice.receipt(receipt.text)!.persisted();
  });

  it('that drifts is found and repaired', async () => {
    const shop = await openShop(definitions);
    const { sluice } = shop;
    await sluice.value('best').put('k', 5);
    await sluice.value('best').get('k');
    await sluice.value('seen').get('none');
    await shop.setLive({ '>best:k': '6', '=seen:none': '3@1' });
    expect((await shop.verify()).drift).toEqual([
      { kind: 'value', name: 'best', key: 'k', live: 6, expected: 5 },
      { kind: 'value', name: 'seen', key: 'none', live: 3, expected: null },
    ]);
  });
});

const TABLE = (columns: string) =>
  `CREATE TABLE players (id BIGINT PRIMARY KEY, name VARCHAR(20) COLLATE ${exactCollation()} NULL, ${columns}) ENGINE = InnoDB`;

describe('a mapped value', () => {
  const target = (column: string, missing: 'insert' | 'quarantine' = 'insert') => ({
    table: 'players',
    key: 'id',
    column,
    missing,
  });

  it('is kept in its column, beside what others write there', async () => {
    const shop = await openShop(
      {
        values: {
          best: { keep: 'max', target: target('best') },
          worst: { keep: 'min', target: target('worst', 'quarantine') },
        },
      } as const,
      TABLE('best INT UNSIGNED NULL, worst INT NULL'),
    );
    const { sluice, database } = shop;
    await database.query('INSERT INTO players (id, best, worst) VALUES (1, 50, 5), (2, NULL, NULL)');
    expect(await sluice.value('best').getMany(['1', '2', '3'])).toEqual([50, null, null]);
    for (const key of ['1', '2', '3']) {
      await sluice.value('best').put(key, 40);
      await sluice.value('worst').put(key, 7);
    }
    await shop.drain();
    const stored = () =>
      database.query('SELECT CAST(id AS CHAR) AS id, best, worst FROM players ORDER BY id');
    expect(await stored()).toEqual([
      { id: '1', best: 50, worst: 5 },
      { id: '2', best: 40, worst: 7 },
      { id: '3', best: 40, worst: 7 },
    ]);
    await database.query('UPDATE players SET best = 45 WHERE id = 2');
    await shop.forget();
    expect(await sluice.value('best').getMany(['1', '2', '3'])).toEqual([50, 45, 40]);
    // What an UNSIGNED column refuses goes into quarantine, and counts in the live value until it is dropped.
    await sluice.value('best').put('4', -1);
    await shop.drain();
    expect(await shop.quarantined()).toContain('4 -1 ER_WARN_DATA_OUT_OF_RANGE');
    expect(await sluice.value('best').get('4')).toBe(-1);
  });

  it('holds times from milliseconds', async () => {
    const times = {
      seen: { keep: 'last', target: target('seen') },
      asked: { keep: 'last', target: target('asked') },
    } as const;
    const shop = await openShop({ values: times }, TABLE('seen DATETIME(3) NULL, asked TIMESTAMP(3) NULL'));
    const { sluice, database } = shop;
    const at = Date.UTC(2026, 9, 25, 0, 30, 1, 250);
    await sluice.value('seen').put('1', at);
    await sluice.value('asked').put('1', at);
    await shop.drain();
    const [row] = await database.query(
      'SELECT CAST(seen AS CHAR) AS seen, UNIX_TIMESTAMP(asked) AS asked FROM players WHERE id = 1',
    );
    expect(String(row!.seen)).toBe('2026-10-25 00:30:01.250');
    expect(Number(row!.asked) * 1000).toBe(at);
    await shop.forget();
    expect([await sluice.value('seen').get('1'), await sluice.value('asked').get('1')]).toEqual([at, at]);
    // What no DATETIME or TIMESTAMP holds is refused, and never written as NULL.
    for (const [n, is] of [
      Number.MAX_SAFE_INTEGER,
      Number.MIN_SAFE_INTEGER,
      253_402_300_800_000,
      -1,
    ].entries())
      for (const name of ['seen', 'asked'] as const) await sluice.value(name).put(`${10 + n}`, is);
    await shop.drain();
    const wrong = await database.query(
      'SELECT id FROM players WHERE id >= 10 AND seen IS NULL AND asked IS NULL',
    );
    expect(wrong).toEqual([]);
    expect((await shop.quarantined()).map(row => row.split(' ').slice(0, 2).join(' '))).toEqual([
      ...[`10 ${Number.MAX_SAFE_INTEGER}`, `10 ${Number.MAX_SAFE_INTEGER}`],
      ...[`11 ${Number.MIN_SAFE_INTEGER}`, `11 ${Number.MIN_SAFE_INTEGER}`],
      ...['12 253402300800000', '12 253402300800000', '13 -1'],
    ]);
    await sluice.value('seen').put('1', at - 5000);
    await shop.drain();
    await shop.forget();
    expect(await sluice.value('seen').get('1')).toBe(at - 5000);
  });
});
