// Which rows are blamed for an error: error classes, the search for culprits, what is remembered about tables.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classifyDatabaseError, databaseErrorCode, suspect } from '../../src/shared/mysql/errors.ts';
import type { ValueTable } from '../../src/shared/values/tables.ts';
import { bisect, type Search } from '../../src/worker/bisect.ts';
import { type Blame, RowFailure } from '../../src/worker/blame.ts';
import { Failures } from '../../src/worker/failures.ts';
import { Suspects } from '../../src/worker/suspects.ts';

/** An error as mysql2 makes it from the server's packet. */
const sent = (errno: number, sqlState: string, code?: string) => ({ errno, sqlState, code });

describe('classes of errors', () => {
  it.each([
    [{ errno: 1213 }, 'conflict'],
    [sent(1213, '40001'), 'conflict'],
    [{ errno: 1205 }, 'conflict'],
    [{ errno: 1040 }, 'unavailable'],
    [sent(1290, 'HY000'), 'unavailable'],
    [sent(1047, '08S01'), 'unavailable'],
    [{ code: 'ECONNREFUSED', errno: -111 }, 'unavailable'],
    [{ code: 'PROTOCOL_CONNECTION_LOST', fatal: true }, 'unavailable'],
    [{ code: 'SOMETHING_NEW', fatal: true }, 'unavailable'],
    [{ errno: 1264 }, 'refused'],
    [{ errno: 1644 }, 'refused'],
    [{ errno: 4025 }, 'refused'],
    [{ errno: 1045, fatal: true }, 'other'],
    [sent(1146, '42S02'), 'other'],
    [new Error('deadlock'), 'other'],
    [undefined, 'other'],
  ])('%j is %s', (error, expected) => {
    expect(classifyDatabaseError(error)).toBe(expected);
  });

  // SQLSTATEs as MySQL 9.7 and MariaDB 10.11 send them.
  it.each([
    ['no partition for the key', sent(1526, 'HY000')],
    ['division by zero', sent(1365, '22012')],
    ['a subquery with two rows', sent(1242, '21000')],
    ['a wrong date', sent(1292, '22007')],
    ['a date too far', sent(1441, '22008')],
    ['SELECT INTO with two rows', sent(1172, '42000')],
    ['FETCH without a row', sent(1329, '02000')],
    ['CASE without a match', sent(1339, '20000')],
    ['a row too long', sent(1118, '42000')],
    ['AUTO_INCREMENT used up, MariaDB', sent(167, '22003')],
    ['CHECK OPTION, MySQL', sent(1369, 'HY000')],
    ['CHECK OPTION, MariaDB', sent(1369, '44000')],
    ['SIGNAL without a number', sent(1644, 'XA100')],
    ['SIGNAL 02', sent(1643, '02001')],
    ['SIGNAL with the number of a deadlock', sent(1213, '45000')],
    ['SIGNAL with the number of an outage', sent(1290, '02001')],
    ['a foreign key, as parent', sent(1451, '23000')],
  ])('%s is a refusal of the row', (_, error) => {
    expect(classifyDatabaseError(error)).toBe('refused');
  });

  it.each([
    [sent(31_001, 'HY000'), 'row'],
    [sent(1467, 'HY000'), 'row'],
    [sent(3141, '22032'), 'row'],
    [sent(4038, 'HY000'), 'row'],
    [sent(1054, '42S22'), 'schema'],
    [sent(1052, '23000'), 'schema'],
    [sent(1364, 'HY000'), 'schema'],
    [sent(1142, '42000'), 'nothing'],
    [sent(1114, 'HY000'), 'nothing'],
    [sent(1064, '42000'), 'nothing'],
    [sent(1264, '22003'), 'nothing'],
    [sent(1213, '40001'), 'nothing'],
    [{ errno: -104, code: 'ECONNRESET' }, 'nothing'],
    [{ errno: 31_001, sqlState: 'HY000', fatal: true }, 'nothing'],
    [new TypeError('of ours'), 'nothing'],
  ])('%j may be the fault of: %s', (error, expected) => {
    expect(suspect(error)).toBe(expected);
  });

  it('a number gets no name if a trigger chose it or if it means something else on this server', () => {
    expect(databaseErrorCode(sent(1213, '45000', 'ER_LOCK_DEADLOCK'))).toBe('ERRNO_1213');
    expect(databaseErrorCode(sent(1644, '45000', 'ER_SIGNAL_EXCEPTION'))).toBe('ER_SIGNAL_EXCEPTION');
    expect(databaseErrorCode(sent(4038, 'HY000', 'ER_WARN_DEPRECATED_TLS'))).toBe('ERRNO_4038');
    expect(databaseErrorCode(sent(4025, '23000', 'ER_INNODB'))).toBe('ER_CONSTRAINT_FAILED');
  });
});

/** A table that fails for some items. */
class Table {
  readonly refused: number[] = [];
  readonly done: number[] = [];
  readonly tried = new Set<number>();
  attempts = 0;
  readonly #bad: (item: number) => Blame | undefined;

  constructor(bad: (item: number) => Blame | undefined) {
    this.#bad = bad;
  }

  search(failures = 0, tookOthers = false): Search<number> {
    return {
      attempt: async items => {
        this.#attempt(items);
        this.done.push(...items);
      },
      trial: async item => {
        this.tried.add(item);
        this.#attempt([item]);
      },
      refuse: async item => {
        this.refused.push(item);
      },
      tookOthers,
      failures,
    };
  }

  #attempt(items: readonly number[]) {
    this.attempts++;
    for (const item of items) {
      const blame = this.#bad(item);
      if (blame) throw new RowFailure(blame, new Error(`${item}`));
    }
  }
}

const ofSuspicion = (rows: readonly { isSuspect: boolean }[], suspect: boolean) =>
  upTo(rows.length).filter(item => rows[item]!.isSuspect === suspect);
const upTo = (size: number) => Array.from({ length: size }, (_, i) => i);
const sizes = fc.integer({ min: 1, max: 300 });

describe('bisect', () => {
  it('finds exactly the culprits among rows of data, in order, in O(k log n) attempts', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.uniqueArray(fc.nat(299), { maxLength: 5 }), async (size, candidates) => {
        const bad = new Set(candidates.filter(n => n < size));
        const table = new Table(item => (bad.has(item) ? 'data' : undefined));
        await bisect(upTo(size), table.search());
        expect(table.refused).toEqual([...bad].sort((a, b) => a - b));
        expect(table.done).toEqual(upTo(size).filter(n => !bad.has(n)));
        expect(table.attempts).toBeLessThanOrEqual(
          1 + 2 * Math.max(1, bad.size) * (Math.ceil(Math.log2(size)) + 1),
        );
      }),
    );
  });

  it('needs hardly more attempts than there are rows if all of them are bad', async () => {
    const table = new Table(() => 'data');
    await bisect(upTo(1000), table.search());
    expect(table.refused).toEqual(upTo(1000));
    expect(table.attempts).toBeLessThanOrEqual(1000 + 10);
  });

  it('writes what is not suspected at once, and tries each suspect', async () => {
    const bad = new Set(upTo(1000).filter(item => item % 14 === 0));
    const [suspects, others] = [upTo(1000).filter(n => bad.has(n)), upTo(1000).filter(n => !bad.has(n))];
    const table = new Table(item => (bad.has(item) ? 'data' : undefined));
    await bisect(others, table.search(), suspects);
    expect([table.done, table.refused]).toEqual([others, suspects]);
    // The others, all suspects, the first one by halving, each of them.
    expect(table.attempts).toBeLessThanOrEqual(1 + 1 + 7 + suspects.length);
    const mended = new Table(() => undefined);
    await bisect(others, mended.search(), suspects);
    expect(mended).toMatchObject({ attempts: 2, refused: [], done: [...others, ...suspects] });
  });

  it('whatever is suspected, exactly the bad rows are refused, and the rest is written in its order', async () => {
    const row = fc.record({ isBad: fc.boolean(), isSuspect: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 60 }), async rows => {
        const table = new Table(item => (rows[item]!.isBad ? 'data' : undefined));
        const inTurn = [false, true].flatMap(suspect => ofSuspicion(rows, suspect));
        await bisect(ofSuspicion(rows, false), table.search(), ofSuspicion(rows, true));
        expect(table.done).toEqual(inTurn.filter(item => !rows[item]!.isBad));
        expect(table.refused).toEqual(inTurn.filter(item => rows[item]!.isBad));
      }),
    );
  });

  it('blames suspects whose error may be of the table only if others pass', async () => {
    for (const blame of ['row', 'schema'] as const) {
      const some = new Table(item => (item >= 10 ? blame : undefined));
      await bisect(upTo(10), some.search(), [10, 11]);
      expect([some.done, some.refused]).toEqual([upTo(10), [10, 11]]);
      const all = new Table(() => blame);
      await expect(bisect(upTo(10), all.search(), [10, 11])).rejects.toBeInstanceOf(RowFailure);
      await expect(bisect([], all.search(), [10, 11])).rejects.toBeInstanceOf(RowFailure);
      expect([all.done, all.refused]).toEqual([[], []]);
    }
  });

  it('whatever the errors, it writes every good row once or nothing, and refuses no good row', async () => {
    const kind = fc.constantFrom<Blame | undefined>(undefined, 'data', 'row', 'schema');
    await fc.assert(
      fc.asyncProperty(fc.array(kind, { minLength: 1, maxLength: 40 }), fc.boolean(), async (rows, took) => {
        const table = new Table(item => rows[item]);
        const failed = await bisect(upTo(rows.length), table.search(0, took)).catch(error => error);
        expect(table.refused.every(item => rows[item])).toBe(true);
        if (failed === undefined) {
          expect(table.done).toEqual(upTo(rows.length).filter(item => !rows[item]));
          expect(table.refused).toEqual(upTo(rows.length).filter(item => rows[item]));
        } else expect(failed).toBeInstanceOf(RowFailure);
        // Rows with wrong data are refused whatever happens to the others.
        if (rows.every(blame => blame === 'data')) expect(failed).toBeUndefined();
        const unknown = rows.some(blame => blame === 'row' || blame === 'schema');
        if (unknown && rows.every(Boolean) && !took) expect(failed).toBeInstanceOf(RowFailure);
      }),
    );
  });

  it('after some samples, it takes a table that fails for every row to be broken', async () => {
    for (const blame of ['row', 'schema'] as const) {
      const table = new Table(() => blame);
      await expect(bisect(upTo(5000), table.search())).rejects.toBeInstanceOf(RowFailure);
      expect(table).toMatchObject({ refused: [], done: [] });
      expect(table.attempts).toBeLessThan(20);
    }
  });

  it('finds the one row that passes after a bounded number of calls', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(), async (size, chosen) => {
        const good = chosen % size;
        const table = new Table(item => (item === good ? undefined : 'row'));
        let failures = 0;
        if (size === 1) return;
        while (await bisect(upTo(size), table.search(failures)).catch(error => error)) failures++;
        expect(failures).toBeLessThanOrEqual(size / 16);
        expect(table.done).toEqual([good]);
        expect(table.refused).toHaveLength(size - 1);
      }),
      { numRuns: 30 },
    );
  });

  it('blames a row that is alone if its table took others, but not for an error of the schema', async () => {
    const row = new Table(() => 'row');
    await bisect([7], row.search(1, true));
    expect(row.refused).toEqual([7]);
    const schema = new Table(() => 'schema');
    await expect(bisect([7], schema.search(1, true))).rejects.toBeInstanceOf(RowFailure);
    expect(schema.refused).toEqual([]);
  });

  it('does not blame a row whose error does not repeat', async () => {
    const seen = new Map<number, number>();
    const table = new Table(item => {
      seen.set(item, (seen.get(item) ?? 0) + 1);
      // It fails with the whole list, and once alone.
      return item === 3 && seen.get(item)! <= 2 ? 'row' : undefined;
    });
    await bisect(upTo(4), table.search());
    expect(table.refused).toEqual([]);
    expect([...table.done].sort()).toEqual(upTo(4));
  });

  it('stops at an error that blames no row', async () => {
    const away = new Error('away');
    const search = { ...new Table(() => undefined).search(), attempt: () => Promise.reject(away) };
    await expect(bisect([1, 2], search)).rejects.toBe(away);
  });
});

describe('Failures', () => {
  const [table, other] = [{} as ValueTable, {} as ValueTable];
  const batch = { partition: 3, token: 'a' };

  it('counts only rows that a table took in a transaction that began after the failure', () => {
    const failures = new Failures(1000);
    const early = failures.moment();
    failures.tableFailed(batch, table);
    failures.took([table], early);
    expect(failures.tookOthers(batch, table)).toBe(false);
    failures.took([other], failures.moment());
    expect(failures.tookOthers(batch, table)).toBe(false);
    failures.took([table], failures.moment());
    expect(failures.tookOthers(batch, table)).toBe(true);
    // The first failure counts, not the latest.
    failures.tableFailed(batch, table);
    expect(failures.tookOthers(batch, table)).toBe(true);
    expect(failures.tookOthers({ ...batch, token: 'b' }, table)).toBe(false);
    failures.ended(batch);
    expect(failures.tookOthers(batch, table)).toBe(false);
  });

  it('doubts the conflicts of a batch once they have lasted too long', () => {
    let now = 0;
    const failures = new Failures(1000, () => now);
    failures.conflicted(batch);
    now = 999;
    failures.conflicted(batch);
    expect(failures.doubtsConflicts(batch)).toBe(false);
    now = 1000;
    expect(failures.doubtsConflicts(batch)).toBe(true);
    expect(failures.doubtsConflicts({ ...batch, token: 'b' })).toBe(false);
  });
});

describe('Suspects', () => {
  it('are forgotten a minute after their last refusal, or when they pass', () => {
    let now = 0;
    const suspects = new Suspects(() => now);
    expect(suspects.isEmpty).toBe(true);
    suspects.refused('entry', 'loyalty:a');
    suspects.refused('entry', 'loyalty:b');
    expect([suspects.has('entry', 'loyalty:a'), suspects.has('counter', 'loyalty:a')]).toEqual([true, false]);
    now = 40_000;
    suspects.refused('entry', 'loyalty:a');
    now = 60_000;
    expect([suspects.has('entry', 'loyalty:a'), suspects.has('entry', 'loyalty:b')]).toEqual([true, false]);
    suspects.passed('entry', 'loyalty:a');
    expect([suspects.has('entry', 'loyalty:a'), suspects.isEmpty]).toEqual([false, true]);
  });

  it('are at most 10,000: the last ones', () => {
    const suspects = new Suspects(() => 0);
    for (const n of upTo(10_000)) suspects.refused('counter', `views:${n}`);
    suspects.refused('counter', 'views:0');
    suspects.refused('counter', 'views:new');
    const known = ['0', '1', '2', 'new'].map(key => suspects.has('counter', `views:${key}`));
    expect(known).toEqual([true, false, true, true]);
  });
});
