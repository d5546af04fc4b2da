// Boards that are built while updates come, wait, are flushed, refused and replayed: whenever a board says that it
// is exact, its scores are MySQL plus quarantine, in flight and pending.

import { describe, expect, it } from 'vitest';
import { verify } from '../../src/recovery/verify.ts';
import { openFailed } from '../../src/replay/index.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { boardName } from '../../src/shared/ranks/reader.ts';
import { type Engine, openEngine, until } from '../support/engine.ts';
import { openShop } from '../support/mapped.ts';
import { builderOf, loyalty, ranked, ready, scoresOf, views } from '../support/ranks.ts';

const open = async (settings = {}) => {
  const engine = await openEngine({ partitions: 1, ...settings });
  const sluice = await engine.producer({}, { definitions: ranked });
  return { engine, sluice, counter: sluice.counter('views'), points: sluice.points('loyalty') };
};
const refuse = (condition: string) =>
  `CREATE TRIGGER refuse BEFORE INSERT ON sluice_counters FOR EACH ROW BEGIN IF ${condition} THEN SIGNAL SQLSTATE '45000'; END IF; END`;
const phaseOf = async (engine: Engine) => (await builderOf(engine).look(views)).map(({ phase }) => phase);
const notedOf = (engine: Engine, partition = 0) =>
  engine.redis.smembers(engine.keys.ofBoard(partition, 'ranksNoted:<board>', boardName(views)));
const verified = (engine: Engine) =>
  verify({ ...engine, ...engine.own, definitions: parseDefinitions(ranked) });

describe('a build', () => {
  it('waits until what was pending at its begin is in MySQL', async () => {
    const { engine, counter } = await open({ batchKeys: 2 });
    for (const key of ['a', 'b', 'c', 'd', 'e']) await counter.increment(key);
    // The key `a` is pending: more updates of it come before the others, and are flushed first.
    for (let more = 0; more < 5; more++) await counter.increment('a');
    const builder = builderOf(engine, 2);
    await builder.begin(views);
    const steps = async () => {
      for (let step = 0; step < 3; step++) await builder.step(views);
    };
    await steps();
    expect(await phaseOf(engine)).toEqual(['wait']);
    const batch = (await engine.flight.claim(0))!;
    await engine.store.commit(batch);
    await engine.flight.ack(batch, { quarantined: 0, late: [] });
    await steps();
    expect(await phaseOf(engine)).toEqual(['wait']);
    await ready(engine, views, builder);
    expect(await scoresOf(engine, views)).toEqual(new Map(Object.entries({ a: 6, b: 1, c: 1, d: 1, e: 1 })));
  });

  it('is exact under traffic, flushes and quarantine, at any step', async () => {
    const { engine, counter } = await open();
    await engine.database.query(refuse("NEW.counter_key LIKE 'bad%'"));
    const expected = new Map<string, number>();
    const add = async (key: string, by: number) => {
      expected.set(key, (expected.get(key) ?? 0) + by);
      await counter.increment(key, by);
    };
    for (let at = 0; at < 40; at++) await add(at % 5 === 0 ? `bad${at}` : `k${at}`, at + 1);
    await engine.drain();
    const builder = builderOf(engine, 3);
    await builder.begin(views);
    for (let step = 0; (await phaseOf(engine))[0] !== 'ready'; step++) {
      expect(step).toBeLessThan(200);
      await builder.step(views);
      // A new key, a key that was perhaps walked, and one in quarantine.
      await add(`new${step % 30}`, 1);
      await add(`k${(step * 7) % 40}`, -3);
      await add(`bad${(step * 5) % 40}`, 2);
      if (step % 3 === 0) await engine.drain();
      if (step === 10) await engine.database.query('DROP TRIGGER refuse');
    }
    while ((await builder.step(views)).goesOn) {}
    expect(await notedOf(engine)).toEqual([]);
    expect(await scoresOf(engine, views)).toEqual(expected);
    expect((await counter.board.size()).exact).toBe(true);
    expect(await verified(engine)).not.toHaveProperty('scores');
  });

  it('ends although new keys never stop', async () => {
    const { engine, counter } = await open();
    for (let at = 0; at < 20; at++) await counter.increment(`k${at}`);
    await engine.drain();
    const builder = builderOf(engine, 4);
    await builder.begin(views);
    for (let step = 0; (await phaseOf(engine))[0] !== 'ready'; step++) {
      expect(step).toBeLessThan(30);
      for (let at = 0; at < 10; at++) await counter.increment(`new${step} ${at}`);
      await builder.step(views);
    }
    while ((await builder.step(views)).goesOn) {}
    expect(await counter.board.size()).toEqual({ exact: true, size: (await scoresOf(engine, views)).size });
    expect(await verified(engine)).not.toHaveProperty('scores');
  });

  it('is continued by another process where the first stopped', async () => {
    const { engine, counter } = await open();
    for (let at = 0; at < 20; at++) await counter.increment(`k${at}`);
    await engine.drain();
    const first = builderOf(engine, 4);
    await first.begin(views);
    await first.step(views);
    await first.step(views);
    const [before] = await first.look(views);
    const second = builderOf(engine, 4);
    // Somebody works on it.
    expect((await second.step(views)).goesOn).toBe(false);
    await until(async () => (await second.step(views)).goesOn, 'the build to be left');
    const [after] = await second.look(views);
    expect(after!.members).toBe(before!.members + 4);
    await ready(engine, views, second);
    expect((await scoresOf(engine, views)).size).toBe(20);
  });

  it('begins again under a new epoch; the old board answers meanwhile, and says so', async () => {
    const { engine, counter } = await open();
    await counter.increment('a', 5);
    await ready(engine, views);
    await engine.redis.hset(engine.keys.state(0), 'epoch', 'another');
    await engine.aligner.align(0);
    await counter.increment('a', 2);
    await counter.increment('b', 1);
    expect(await counter.board.top(9)).toEqual({
      exact: false,
      size: 1,
      members: [{ rank: 1, key: 'a', value: 5 }],
    });
    await builderOf(engine).begin(views);
    await counter.increment('a', 1);
    expect(await counter.board.rank('a')).toEqual({ exact: false, size: 1, rank: 1, value: 5 });
    await ready(engine, views);
    expect(await counter.board.rank('a')).toEqual({ exact: true, size: 2, rank: 1, value: 8 });
  });

  it('can be asked for again, and loses nothing meanwhile', async () => {
    const { engine, counter } = await open();
    await counter.increment('a', 5);
    await ready(engine, views);
    await engine.redis.zadd(engine.keys.ofBoard(0, 'ranks:<board>', 'cviews'), 7, 'a', 3, 'nobody');
    await builderOf(engine).begin(views, true);
    await counter.increment('b', 1);
    expect((await counter.board.size()).exact).toBe(false);
    await ready(engine, views);
    expect(await scoresOf(engine, views)).toEqual(new Map(Object.entries({ a: 5, b: 1 })));
  });

  it('refuses a page whose keys were listed for an earlier build', async () => {
    const { engine, counter } = await open();
    await counter.increment('c');
    await engine.drain();
    // A builder that stops between the keys of the table and their values.
    const gate = Promise.withResolvers<void>();
    let pages = 0;
    const give: typeof engine.cold.give = async (...args) => {
      if (++pages === 2) await gate.promise;
      return engine.cold.give(...args);
    };
    const slow = builderOf({ ...engine, cold: Object.assign(Object.create(engine.cold), { give }) });
    await slow.begin(views);
    await slow.step(views);
    const late = slow.step(views);
    await until(() => pages === 2, 'the page of the table');
    const builder = builderOf(engine);
    await until(async () => {
      await builder.step(views);
      return (await phaseOf(engine))[0] === 'ready';
    }, 'the first build');
    await counter.increment('b');
    await engine.drain();
    await builder.begin(views, true);
    await builder.step(views);
    expect((await builder.look(views))[0]).toMatchObject({ phase: 'walk', cursor: 't' });
    gate.resolve();
    expect((await late).goesOn).toBe(false);
    await ready(engine, views, builder);
    expect(await scoresOf(engine, views)).toEqual(new Map(Object.entries({ b: 1, c: 1 })));
  });

  it('reads a member again that verify --repair corrects behind the walk', async () => {
    const { engine, counter } = await open();
    for (const key of ['a', 'b', 'c']) await counter.increment(key, 5);
    await engine.drain();
    const builder = builderOf(engine, 1);
    await builder.begin(views);
    const next = engine.keys.ofBoard(0, 'ranksNext:<board>', boardName(views));
    while ((await engine.redis.zscore(next, 'a')) === null) await builder.step(views);
    await engine.redis.zadd(next, 50, 'a');
    const parts = { ...engine, ...engine.own, definitions: parseDefinitions(ranked) };
    await verify(parts, { operator: 'test' });
    expect(await notedOf(engine)).toEqual(['a']);
    await ready(engine, views, builder);
    expect(await scoresOf(engine, views)).toEqual(new Map(Object.entries({ a: 5, b: 5, c: 5 })));
  });

  it('goes on in the other partitions if one is halted', async () => {
    const { engine, counter } = await open({ partitions: 3 });
    for (let at = 0; at < 30; at++) await counter.increment(`k${at}`);
    await engine.drain();
    const builder = builderOf(engine, 5);
    await builder.begin(views);
    // The state after the restore of an older backup of MySQL.
    await engine.database.query('UPDATE sluice_partitions SET sequence = 0 WHERE partition_id = 1');
    await until(async () => {
      await builder.step(views).catch(() => {});
      return (await phaseOf(engine)).filter(phase => phase === 'ready').length === 2;
    }, 'the boards of the other partitions');
    expect((await phaseOf(engine))[1]).toBe('walk');
    const key = Array.from({ length: 30 }, (_, at) => `k${at}`).find(
      one => engine.keys.partitionOf(one) === 0,
    )!;
    await engine.redis.sadd(engine.keys.ofBoard(0, 'ranksNoted:<board>', boardName(views)), key);
    await until(async () => {
      await builder.step(views).catch(() => {});
      return (await notedOf(engine)).length === 0;
    }, 'the noted key of a board that is ready');
    await expect(builder.step(views)).rejects.toMatchObject({ code: 'DATABASE_WENT_BACK' });
  });
});

describe('a board that is ready', () => {
  it('takes back a late duplicate with its live value', async () => {
    const { engine, points } = await open({ idempotencyWindowMs: 1000 });
    await ready(engine, loyalty);
    await points.credit('a', 5, { id: 'x' });
    await engine.drain();
    await until(async () => {
      await engine.flight.trim(0);
      return (await engine.redis.hlen(engine.keys.of(0, 'ids'))) === 0;
    }, 'the id to be forgotten');
    await points.credit('a', 5, { id: 'x' });
    expect(await points.board.rank('a')).toMatchObject({ value: 10, exact: true });
    await engine.drain();
    expect(await points.board.rank('a')).toMatchObject({ exact: false });
    await ready(engine, loyalty);
    expect(await points.board.rank('a')).toMatchObject({ value: 5, exact: true });
  });

  it('says that it is not exact while a score is out of range', async () => {
    const { engine, counter } = await open();
    await ready(engine, views);
    const most = Number.MAX_SAFE_INTEGER;
    await counter.increment('a', most);
    await engine.drain();
    // The live value is cold, so nothing refuses the sum.
    await engine.redis.unlink(engine.keys.of(0, 'live:young'), engine.keys.of(0, 'live:old'));
    await counter.increment('a', most);
    expect((await counter.board.rank('a')).exact).toBe(false);
    await builderOf(engine).step(views);
    expect(await notedOf(engine)).toEqual(['a']);
    await counter.increment('a', -most);
    while ((await builderOf(engine).step(views)).goesOn) {}
    expect(await counter.board.rank('a')).toMatchObject({ value: most, exact: true });
  });

  it('verify finds wrong, missing and superfluous scores, and --repair corrects them', async () => {
    const { engine, counter } = await open();
    for (const [key, by] of [
      ['a', 5],
      ['b', 6],
      ['c', 7],
    ] as const)
      await counter.increment(key, by);
    await ready(engine, views);
    await counter.increment('c', 1);
    expect(await verified(engine)).toMatchObject({ drift: [] });
    const board = engine.keys.ofBoard(0, 'ranks:<board>', 'cviews');
    await engine.redis.zadd(board, 50, 'a', 1, 'nobody');
    await engine.redis.zrem(board, 'b');
    const { scores } = await verified(engine);
    const sorted = scores!.toSorted((a, b) => (a.key < b.key ? -1 : 1));
    expect(sorted).toEqual([
      { kind: 'counter', name: 'views', key: 'a', score: 50, expected: 5 },
      { kind: 'counter', name: 'views', key: 'b', score: null, expected: 6 },
      { kind: 'counter', name: 'views', key: 'nobody', score: 1, expected: 0 },
    ]);
    const parts = { ...engine, ...engine.own, definitions: parseDefinitions(ranked) };
    expect((await verify(parts, { operator: 'test' })).scores).toHaveLength(3);
    expect(await verified(engine)).not.toHaveProperty('scores');
    expect((await scoresOf(engine, views)).get('b')).toBe(6);
  });

  it('takes an operator dropping a quarantined update', async () => {
    const { engine, counter } = await open();
    await ready(engine, views);
    await engine.database.query(refuse("NEW.counter_key = 'bad'"));
    await counter.increment('bad', 9);
    await counter.increment('good', 1);
    await engine.drain();
    expect(await scoresOf(engine, views)).toEqual(new Map(Object.entries({ bad: 9, good: 1 })));
    const failed = await openFailed({
      redis: engine.redisUrl,
      mysql: engine.mysqlUrl,
      definitions: ranked,
      namespace: engine.name,
      settings: engine.settings,
      log: engine.log,
    });
    engine.onClose(() => failed.close());
    await failed.drop({}, { operator: 'test', reason: 'test' });
    await engine.drain();
    expect((await scoresOf(engine, views)).get('bad')).toBe(0);
    expect((await counter.board.size()).exact).toBe(true);
  });
});

it('keys of a mapped table are noted while they are not on the board, since others insert rows', async () => {
  const definitions = {
    counters: {
      views: {
        ranked: true,
        target: { table: 'products', key: 'id', column: 'n', missing: 'insert' },
      },
    },
  } as const;
  const shop = await openShop(
    definitions,
    'CREATE TABLE products (id BIGINT PRIMARY KEY, n BIGINT NULL)',
    'INSERT INTO products VALUES (1, 10), (2, 20), (3, NULL)',
  );
  const { board } = shop.sluice.counter('views');
  await shop.worker();
  const isExact = () =>
    board.size().then(
      ({ exact }) => exact,
      () => false,
    );
  await until(isExact, 'the ranks');
  const members = (await board.top(9)).members.map(({ key, value }) => [key, value]);
  expect(members).toEqual([
    ['2', 20],
    ['1', 10],
    ['3', 0],
  ]);
  await shop.database.query('INSERT INTO products VALUES (4, 400)');
  await shop.sluice.counter('views').increment('4', 1);
  await until(async () => (await isExact()) && (await board.rank('4')).value === 401, 'the row of another');
  await shop.sluice.counter('views').increment('5', 1);
  await until(async () => (await isExact()) && (await board.rank('5')).value === 1, 'the new row');
});

it('an account that was erased is gone from the board once it is built anew', async () => {
  const { engine, points } = await open();
  await points.credit('person-4', 5, { id: '1' });
  await points.credit('other', 6, { id: '1' });
  await ready(engine, loyalty);
  await engine.database.query('DELETE FROM sluice_entries WHERE account = ?', [Buffer.from('person-4')]);
  await engine.database.query('DELETE FROM sluice_accounts WHERE account = ?', [Buffer.from('person-4')]);
  await builderOf(engine).begin(loyalty, true);
  await ready(engine, loyalty);
  expect(await scoresOf(engine, loyalty)).toEqual(new Map([['other', 6]]));
});
