// Values while workers crash, MySQL refuses rows, tables cannot be written, and later puts are in MySQL already.

import { describe, expect, it } from 'vitest';
import type { Sluice } from '../../src/producer/client.ts';
import { type Engine, openEngine, until } from '../support/engine.ts';
import { author } from '../support/failed.ts';
import { dropAllLive } from '../support/live.ts';
import { openShop } from '../support/mapped.ts';
import { builderOf, ready, scoresOf } from '../support/ranks.ts';

const definitions = {
  values: {
    best: { keep: 'max', ranked: true },
    least: { keep: 'min', ranked: true },
    seen: { keep: 'last', ranked: true },
  },
} as const;
const KINDS = { best: '>', least: '<', seen: '=' } as const;
const NAMES = ['best', 'least', 'seen'] as const;

async function open() {
  const engine = await openEngine({ partitions: 1 });
  const sluice = await engine.producer({}, { definitions });
  return { engine, sluice };
}

async function stored({ database }: Engine, key: string): Promise<(number | undefined)[]> {
  const rows = await database.query('SELECT name, value FROM sluice_values WHERE value_key = ?', [key]);
  return NAMES.map(name => {
    const row = rows.find(one => String(one.name) === name);
    return row && Number(row.value);
  });
}

const putAll = (sluice: Sluice<typeof definitions>, key: string, is: number) =>
  Promise.all(NAMES.map(name => sluice.value(name).put(key, is)));
const getAll = (sluice: Sluice<typeof definitions>, key: string) =>
  Promise.all(NAMES.map(name => sluice.value(name).get(key)));
const forget = (engine: Engine) => dropAllLive(engine, 0);

const STEPS = ['claimed', 'locked', 'written', 'recorded', 'checked', 'committed'] as const;

describe('a worker crashes', () => {
  it.each(STEPS)('at "%s", and the next one writes the batch', async step => {
    const { engine, sluice } = await open();
    await putAll(sluice, 'k', 5);
    engine.crashAt(step);
    await engine.flusher.flush(0).catch(() => {});
    await putAll(sluice, 'k', 3);
    expect(await getAll(sluice, 'k')).toEqual([5, 3, 3]);
    await forget(engine);
    expect(await getAll(sluice, 'k')).toEqual([5, 3, 3]);
    engine.crashAt(undefined);
    await engine.drain();
    expect(await stored(engine, 'k')).toEqual([5, 3, 3]);
    for (const name of NAMES)
      expect(await engine.compare(KINDS[name], name, 'k')).toMatchObject({ live: name === 'best' ? 5 : 3 });
  });
});

describe('MySQL has a later put', () => {
  it('and the older one is superseded: nothing is written, the live value and its rank are read anew', async () => {
    const { engine, sluice } = await open();
    await ready(engine, { kind: '=', name: 'seen' });
    await sluice.value('seen').put('k', 1);
    await sluice.value('seen').get('k');
    await engine.drain();
    await engine.database.query('UPDATE sluice_values SET value = 99, version = version + 1000000000');
    const late = await sluice.value('seen').put('k', 2);
    await engine.drain();
    await late.persisted();
    expect(await stored(engine, 'k')).toEqual([undefined, undefined, 99]);
    expect(await sluice.value('seen').get('k')).toBe(99);
    expect(await sluice.value('seen').board.rank('k')).toMatchObject({ exact: false });
    await ready(engine, { kind: '=', name: 'seen' });
    expect(await sluice.value('seen').board.rank('k')).toMatchObject({ exact: true, rank: 1, value: 99 });
    // The live value knows the version, so that the next put is later.
    await sluice.value('seen').put('k', 3);
    await engine.drain();
    expect(await stored(engine, 'k')).toEqual([undefined, undefined, 3]);
  });

  it('and batches of other partitions are written together all the same', async () => {
    const engine = await openEngine({ partitions: 4 });
    const sluice = await engine.producer({}, { definitions });
    const keys = Array.from({ length: 40 }, (_, n) => `k${n}`);
    await Promise.all(keys.map(key => sluice.value('seen').put(key, 1)));
    await engine.worker();
    const written = async (is: number) =>
      Number(
        (await engine.database.query('SELECT COUNT(*) AS n FROM sluice_values WHERE value = ?', [is]))[0]!.n,
      );
    await until(async () => (await written(1)) === 40, 'the first puts');
    await engine.database.query(
      "UPDATE sluice_values SET version = version + 1000000000 WHERE value_key = 'k7'",
    );
    await Promise.all(keys.map(key => sluice.value('seen').put(key, 2)));
    await until(async () => (await written(2)) === 39, 'all others');
    expect(await sluice.value('seen').get('k7')).toBe(1);
  });
});

describe('MySQL refuses puts', () => {
  const TRIGGER =
    "CREATE TRIGGER bad BEFORE INSERT ON sluice_values FOR EACH ROW IF NEW.value_key LIKE 'bad%' THEN SIGNAL SQLSTATE '45000'; END IF";

  async function refused() {
    const shop = await openShop(definitions, TRIGGER);
    for (const is of [5, 8, 6]) {
      for (const name of NAMES) await shop.sluice.value(name).put('bad', is);
      await shop.drain();
    }
    await shop.forget();
    return { ...shop, values: () => getAll(shop.sluice, 'bad'), failed: await shop.failed() };
  }
  const inMysql = async ({ database }: { database: Engine['database'] }) =>
    (await database.query("SELECT name, value FROM sluice_values WHERE value_key = 'bad' ORDER BY name")).map(
      ({ value }) => Number(value),
    );

  it('they count in live values, and a replay writes what is kept, in any order', async () => {
    const shop = await refused();
    expect(await shop.values()).toEqual([8, 5, 6]);
    expect((await shop.quarantined()).length).toBe(9);
    await shop.database.query('DROP TRIGGER bad');
    for (const name of NAMES) await shop.sluice.value(name).put('bad', 7);
    await shop.drain();
    expect(await inMysql(shop)).toEqual([7, 7, 7]);
    expect(await shop.values()).toEqual([8, 5, 7]);
    expect(await shop.replay()).toEqual({ replayed: 9 });
    expect(await inMysql(shop)).toEqual([8, 5, 7]);
    await shop.forget();
    expect(await shop.values()).toEqual([8, 5, 7]);
    expect((await shop.verify()).drift).toEqual([]);
  });

  it.each([
    [9, 'ASC'],
    [9, 'DESC'],
    [3, 'ASC'],
    [3, 'DESC'],
  ])(
    'one that was edited comes again, and the order of replays does not matter: to %d, %s',
    async (to, order) => {
      const shop = await refused();
      const latest = (await shop.failed.list({ kind: 'last' })).updates.at(-1)!;
      await shop.failed.edit({ ids: [latest.id] }, { amount: to }, author);
      // As a batch does that Redis brings again after a failover.
      await shop.database.query(
        `INSERT INTO sluice_quarantine (partition_id, sequence, kind, name, item_key, amount, version, error_code, payload, cause, created_at)
       SELECT partition_id, sequence, kind, name, item_key, 6, version, error_code, payload, cause, created_at
       FROM sluice_quarantine WHERE id = ?`,
        [latest.id],
      );
      await shop.forget();
      const kept = Math.max(6, to);
      expect((await shop.values())[2]).toBe(kept);
      await shop.database.query('DROP TRIGGER bad');
      const rows = await shop.database.query(
        `SELECT id FROM sluice_quarantine WHERE kind = 'last' ORDER BY id ${order}`,
      );
      for (const { id } of rows) {
        await shop.failed.replay({ ids: [Number(id)] }, author);
        expect((await shop.verify()).drift).toEqual([]);
      }
      expect(await inMysql(shop)).toEqual([kept]);
      expect((await shop.values())[2]).toBe(kept);
    },
  );

  it('a dropped one counts no longer, an edited one counts as edited', async () => {
    const shop = await refused();
    const why = { ...author, reason: 'a cheat' };
    const [eight] = (await shop.failed.list({ kind: 'max' })).updates.filter(({ amount }) => amount === 8);
    expect(eight).toMatchObject({
      kind: 'max',
      name: 'best',
      key: 'bad',
      updates: 1,
      version: null,
      entryId: null,
    });
    expect((await shop.failed.drop({ ids: [eight!.id] }, why)).updates).toEqual({ dropped: 1 });
    expect(await shop.values()).toEqual([6, 5, 6]);
    await shop.database.query('DROP TRIGGER bad');
    const latest = (await shop.failed.list({ kind: 'last' })).updates.at(-1)!;
    expect(latest).toMatchObject({ amount: 6, version: expect.any(Number) });
    expect((await shop.failed.edit({ ids: [latest.id] }, { amount: 60 }, author)).updates).toEqual({
      edited: 1,
    });
    expect(await shop.values()).toEqual([6, 5, 60]);
    expect((await shop.failed.edit({ kind: 'min' }, { amount: -4 }, author)).updates).toEqual({ edited: 3 });
    expect(await shop.values()).toEqual([6, -4, 60]);
    await shop.replay();
    expect(await inMysql(shop)).toEqual([6, -4, 60]);
    expect(await shop.values()).toEqual([6, -4, 60]);
    expect((await shop.verify()).drift).toEqual([]);
  });
});

describe('a mapped table cannot be written', () => {
  it('the puts of a key are held as one, and written once it can', async () => {
    const target = (column: string) => ({ table: 'players', key: 'id', column, missing: 'insert' }) as const;
    const shop = await openShop(
      {
        values: {
          best: { keep: 'max', target: target('best') },
          least: { keep: 'min', target: target('least') },
          seen: { keep: 'last', target: target('seen') },
        },
      },
      'CREATE TABLE players (id INT PRIMARY KEY, best INT NULL, least INT NULL, seen INT NULL)',
    );
    await shop.sluice.value('best').put('1', 1);
    await shop.drain();
    await shop.database.query('ALTER TABLE players RENAME TO away');
    for (const is of [5, 8, 6]) {
      for (const name of NAMES) await shop.sluice.value(name).put('1', is);
      await shop.drain();
    }
    const held = () => shop.held().then(rows => rows.map(row => row.split(' ').slice(0, 2).join(' ')).sort());
    expect(await held()).toEqual(['1 5', '1 6', '1 8']);
    await shop.database.query('ALTER TABLE away RENAME TO players');
    await until(async () => (await held()).length === 0, 'the held puts to be written');
    expect(await shop.database.query('SELECT best, least, seen FROM players')).toEqual([
      { best: 8, least: 5, seen: 6 },
    ]);
    await shop.forget();
    expect(await Promise.all(NAMES.map(name => shop.sluice.value(name).get('1')))).toEqual([8, 5, 6]);
    await shop.sluice.value('seen').put('1', 2);
    await shop.drain();
    expect(await shop.database.query('SELECT seen FROM players')).toEqual([{ seen: 2 }]);
  });
});

describe('ranks of values', () => {
  it.each(NAMES)('of "%s" have keys that are new while the board is built', async name => {
    const { engine, sluice } = await open();
    const board = { kind: KINDS[name], name };
    for (let at = 0; at < 12; at++) await putAll(sluice, `k${at}`, at);
    await engine.drain();
    const builder = builderOf(engine, 2);
    await builder.begin(board);
    const expected = new Map(Array.from({ length: 12 }, (_, at) => [`k${at}`, at]));
    for (let step = 0; (await builder.look(board)).some(({ phase }) => phase !== 'ready'); step++) {
      expect(step).toBeLessThan(50);
      await sluice.value(name).put(`new${step}`, step);
      expected.set(`new${step}`, step);
      await builder.step(board);
    }
    while ((await builder.step(board)).goesOn) {}
    expect(await scoresOf(engine, board)).toEqual(expected);
    expect(await sluice.value(name).board.size()).toEqual({ exact: true, size: expected.size });
  });

  it('follow each put, while boards are built and when they are ready', async () => {
    const { engine, sluice } = await open();
    await putAll(sluice, 'before', 5);
    await engine.drain();
    for (const name of NAMES) await ready(engine, { kind: KINDS[name], name });
    await putAll(sluice, 'before', 3);
    await putAll(sluice, 'cold', -2);
    await putAll(sluice, 'cold', 4);
    const scores = async () =>
      Promise.all(
        NAMES.map(async name => Object.fromEntries(await scoresOf(engine, { kind: KINDS[name], name }))),
      );
    const expected = [
      { before: 5, cold: 4 },
      { before: 3, cold: -2 },
      { before: 3, cold: 4 },
    ];
    expect(await scores()).toEqual(expected);
    await engine.drain();
    await forget(engine);
    expect(await scores()).toEqual(expected);
    expect((await sluice.value('best').board.top(1)).members).toEqual([{ rank: 1, key: 'before', value: 5 }]);
    expect(await sluice.value('least').board.rank('nobody')).toMatchObject({ rank: null, exact: true });
  });
});
