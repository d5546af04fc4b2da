// Points programs in columns of users' tables: balances, the ledger, other writers, unsafe numbers.

import { describe, expect, it } from 'vitest';
import { openDatabase, openShop } from '../support/mapped.ts';

const users = `CREATE TABLE users (id BIGINT UNSIGNED PRIMARY KEY, name VARCHAR(40) NOT NULL, points BIGINT NOT NULL DEFAULT 0)`;
const loyalty = {
  points: { loyalty: { floor: 0, target: { table: 'users', key: 'id', column: 'points' } } },
} as const;

describe('a program in a column of the user', () => {
  it("starts from the column's balance and keeps the ledger", async () => {
    const shop = await openShop(loyalty, users, "INSERT INTO users VALUES (18446744073709551615, 'ann', 50)");
    const points = shop.sluice.points('loyalty');
    const ann = '18446744073709551615';
    expect(await points.balance(ann)).toBe(50);
    await points.debit(ann, 30, { id: 'a' });
    await expect(points.debit(ann, 30, { id: 'b' })).rejects.toMatchObject({ code: 'INSUFFICIENT_POINTS' });
    await points.credit(ann, 5, { id: 'c' });
    await shop.drain();
    expect(await shop.database.query('SELECT name, points FROM users')).toMatchObject([
      { name: 'ann', points: '25' },
    ]);
    expect(await points.history(ann)).toMatchObject([
      { id: 'c', amount: 5, balanceAfter: 25, persisted: true },
      { id: 'a', amount: -30, balanceAfter: 20, persisted: true },
    ]);
    await shop.forget();
    expect(await points.balance(ann)).toBe(25);
    expect(await shop.database.query('SELECT * FROM sluice_accounts')).toEqual([]);
  });

  it('opens accounts in a table of another schema if the mapping says so', async () => {
    const other = await openDatabase(
      "CREATE TABLE users (id VARBINARY(255) PRIMARY KEY, points INT UNSIGNED, tier CHAR(4) NOT NULL DEFAULT 'base')",
      "INSERT INTO users VALUES ('ann', 7, 'gold')",
    );
    const table = `${other.name}.users`;
    const shop = await openShop({
      points: { loyalty: { target: { table, key: 'id', column: 'points', missing: 'insert' } } },
    });
    const points = shop.sluice.points('loyalty');
    await Promise.all([
      points.credit('ann', 3, { id: '1' }),
      points.credit('ben', 5, { id: '1' }),
      points.credit('ben', 5, { id: '2' }),
      points.debit('ann', 9, { id: '2' }),
    ]);
    await shop.drain();
    expect(await shop.quarantined()).toEqual([]);
    const rows = await other.database.query('SELECT id, points, tier FROM users ORDER BY id');
    expect(rows.map(row => `${row.id} ${row.points} ${row.tier}`)).toEqual(['ann 1 gold', 'ben 10 base']);
    expect(await points.history('ben')).toMatchObject([{ balanceAfter: 10 }, { balanceAfter: 5 }]);
  });

  it('quarantines exactly the entries of an account without a row', async () => {
    const shop = await openShop(loyalty, users, "INSERT INTO users VALUES (1, 'ann', 0), (2, 'ben', 0)");
    const points = shop.sluice.points('loyalty');
    const accounts = ['1', '404', '2', '404', '01'];
    await Promise.all(accounts.map((account, at) => points.credit(account, 10 + at, { id: `e${at}` })));
    await shop.drain();
    expect(await shop.quarantined()).toEqual([
      '01 14 TARGET_KEY_NOT_CANONICAL',
      '404 11 TARGET_ROW_MISSING',
      '404 13 TARGET_ROW_MISSING',
    ]);
    const ledger = await shop.database.query(
      'SELECT entry_id, balance_after FROM sluice_entries ORDER BY entry_id',
    );
    expect(ledger.map(row => `${row.entry_id} ${row.balance_after}`)).toEqual(['e0 10', 'e2 12']);
    expect(await shop.compare('p', 'loyalty', '404')).toMatchObject({ live: 24, expected: 24 });
    await shop.forget();
    expect(await points.balance('404')).toBe(24);
  });

  it('adds to the values of other writers', async () => {
    const shop = await openShop(loyalty, users, "INSERT INTO users VALUES (1, 'ann', 0)");
    const points = shop.sluice.points('loyalty');
    await shop.drain();
    const other = async () => {
      for (let round = 0; round < 50; round++)
        await shop.database.query('UPDATE users SET points = points + 1000 WHERE id = 1');
    };
    const ours = async () => {
      for (let round = 0; round < 50; round++) await points.credit('1', 1, { id: `e${round}` });
    };
    await Promise.all([other(), ours()]);
    await shop.drain();
    expect(await shop.database.query('SELECT points FROM users')).toMatchObject([{ points: '50050' }]);
    const compared = await shop.compare('p', 'loyalty', '1');
    expect(compared).toMatchObject({ expected: 50_050 });
    await shop.forget();
    expect(await points.balance('1')).toBe(50_050);
  });

  it('does not round a value beyond a safe number', async () => {
    const shop = await openShop(
      loyalty,
      users,
      "INSERT INTO users VALUES (1, 'ann', 9007199254740993), (2, 'ben', 0)",
    );
    const points = shop.sluice.points('loyalty');
    await expect(points.balance('1')).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
    await expect(points.credit('1', 1, { id: 'a' })).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
    const read = shop.tables.of('p', 'loyalty');
    await expect(
      shop.database.session(connection => read.values(connection, [{ name: 'loyalty', key: '1' }])),
    ).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
    const results = await shop.sluice.apply([
      { points: 'loyalty', account: '1', amount: 1, id: 'b' },
      { points: 'loyalty', account: '2', amount: 1, id: 'b' },
    ]);
    expect(results).toMatchObject([
      { ok: false, error: { code: 'OUT_OF_RANGE' } },
      { ok: true, value: 1 },
    ]);
    await shop.database.query('UPDATE users SET points = 9007199254740991 WHERE id = 2');
    await shop.drain();
    expect(await shop.quarantined()).toEqual(['2 1 OUT_OF_RANGE']);
    expect(await shop.database.query('SELECT points FROM users ORDER BY id')).toMatchObject([
      { points: '9007199254740993' },
      { points: '9007199254740991' },
    ]);
  });
});
