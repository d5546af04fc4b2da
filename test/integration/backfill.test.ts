// A backfill counts each row once, wherever it is stopped; and it stops rather than count what it cannot prove.

import { expect, it } from 'vitest';
import { checkRows } from '../../src/backfill/check.ts';
import { checkSource } from '../../src/backfill/source.ts';
import { type SpecOptions, specOf } from '../../src/backfill/spec.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { DatabaseUnavailableError, RedisUnavailableError } from '../../src/shared/errors.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { backfill, crashAt } from '../support/backfill.ts';
import { cleanUp } from '../support/cleanup.ts';
import {
  Crash,
  type Engine,
  definitions as engineDefinitions,
  openEngine,
  until,
} from '../support/engine.ts';
import { dropAllLive } from '../support/live.ts';
import { openProxy } from '../support/proxy.ts';

const STEPS = ['recorded', 'sent', 'accepted', 'persisted'] as const;
const KINDS = ['loyalty', 'views'] as const;
const from = (to: string, more: Partial<SpecOptions> = {}): SpecOptions => {
  return { table: 'users', key: 'id', value: 'points', to, ...more };
};

/** Ten rows with the values 1 to 10, and their ids. */
async function openUsers(engine: Engine): Promise<string[]> {
  await engine.database.query(
    'CREATE TABLE users (id INT NOT NULL PRIMARY KEY, points INT NOT NULL, home TINYINT NOT NULL DEFAULT 0) ENGINE = InnoDB',
  );
  const ids = Array.from({ length: 10 }, (_, n) => 10 * n);
  await engine.database.query(
    `INSERT INTO users (id, points) VALUES ${ids.map((id, n) => `(${id}, ${n + 1})`).join(', ')}`,
  );
  return ids.map(String);
}

/** Values in MySQL, in the order of the ids. */
async function valuesOf(engine: Engine, to: string, ids: readonly string[]): Promise<number[]> {
  const values: number[] = [];
  for (const id of ids)
    values.push(to === 'loyalty' ? await engine.balanceInMysql(to, id) : await engine.counterInMysql(to, id));
  return values;
}

/** Waits until Redis has forgotten the ids of counters that it knows now. */
async function passWindow(engine: Engine): Promise<void> {
  const time = async () => Number((await engine.redis.time())[0]) * 1000;
  const end = (await time()) + engine.settings.idempotencyWindowMs + 1000;
  await until(async () => (await time()) > end, 'the window passes');
}

const TEN = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

it.each(KINDS)('%s: a run that is stopped at any step goes on, and counts each row once', async to => {
  const engine = await openEngine();
  const ids = await openUsers(engine);
  await engine.worker();
  for (const [at, step] of STEPS.entries())
    await expect(
      backfill(engine, 'r', from(to), { seam: crashAt(step, at === 0 ? 2 : 0) }),
      step,
    ).rejects.toThrow(Crash);
  // A value that changes behind the walk is of no interest any more.
  await engine.database.query('UPDATE users SET points = 1000 WHERE id < 30');
  const run = await backfill(engine, 'r', from(to));
  expect(run).toMatchObject({ counts: { passed: 10, copied: 10, amount: '55' }, page: undefined });
  expect(run.finishedAt).not.toBeNull();
  expect(await valuesOf(engine, to, ids)).toEqual(TEN);
});

it.each(KINDS)('%s: after a conflict or an outage at any step it goes on by itself', async to => {
  const engine = await openEngine();
  const ids = await openUsers(engine);
  await engine.worker();
  const errors = [
    Object.assign(new Error('Deadlock found'), { errno: 1213, code: 'ER_LOCK_DEADLOCK' }),
    new DatabaseUnavailableError('here'),
    Object.assign(new Error('Connection lost'), { code: 'PROTOCOL_CONNECTION_LOST', fatal: true }),
    new RedisUnavailableError('there'),
  ];
  const open = new Map(STEPS.map((step, at) => [step as string, errors[at]!]));
  const seam = (step: string) => {
    const error = open.get(step);
    open.delete(step);
    if (error) throw error;
  };
  await backfill(engine, 'r', from(to), { seam, patienceMs: 20_000 });
  expect(open.size).toBe(0);
  expect(await valuesOf(engine, to, ids)).toEqual(TEN);
});

it.each(KINDS)('%s: it ends once, although the answer that it has ended is lost', async to => {
  const engine = await openEngine();
  const ids = await openUsers(engine);
  await engine.worker();
  let ends = 0;
  const seam = async (step: string) => {
    if (step !== 'finished' || ++ends > 1) return;
    // Its record has no place any more. Whoever reads the column again finds other amounts.
    await engine.database.query('UPDATE users SET points = points + 100');
    throw Object.assign(new Error('Connection lost'), { code: 'PROTOCOL_CONNECTION_LOST', fatal: true });
  };
  const run = await backfill(engine, 'r', from(to), { seam, patienceMs: 20_000 });
  expect(run).toMatchObject({ counts: { passed: 10, copied: 10, amount: '55' }, place: undefined });
  expect(run.finishedAt).not.toBeNull();
  expect(ends).toBe(1);
  expect(await valuesOf(engine, to, ids)).toEqual(TEN);
});

it('the look at all rows waits for a database that is away, as the copy does', async () => {
  const engine = await openEngine();
  await openUsers(engine);
  const more = Array.from({ length: 6000 }, (_, n) => `(${n + 100}, 1)`);
  await engine.database.query(`INSERT INTO users (id, points) VALUES ${more.join(', ')}`);
  const proxy = await openProxy(engine.mysqlUrl);
  const database = new Database(
    { url: proxy.url },
    { connections: 1, idleTransactionSeconds: 60, lockWaitSeconds: 5 },
  );
  cleanUp(() => database.close());
  const definitions = parseDefinitions(engineDefinitions);
  const spec = specOf(from('loyalty'), definitions);
  const source = await database.session(connection => checkSource(connection, spec, definitions));
  const states: string[] = [];
  const onProgress = (rows: number, state: string) => {
    states.push(`${rows} ${state}`);
    if (states.length === 1) proxy.refuse();
    if (states.length === 3) proxy.open();
  };
  const parts = { database, definitions, run: 'r', spec, source };
  const { counts } = await checkRows(parts, { patienceMs: 20_000, onProgress });
  expect(counts).toMatchObject({ found: 6010, amount: '6055' });
  expect(states.slice(0, 3)).toEqual([
    '5000 checking',
    '5000 waiting for a server',
    '5000 waiting for a server',
  ]);
  proxy.refuse();
  await expect(checkRows(parts, { patienceMs: 0, onProgress: () => {} })).rejects.toThrow();
});

it.each(KINDS)('%s: without a worker nothing is in MySQL, so the checkpoint stays', async to => {
  const engine = await openEngine();
  const ids = await openUsers(engine);
  const seam = crashAt('persisted', 1);
  // It may end while nobody waits for it.
  const crashed = expect(backfill(engine, 'r', from(to), { seam })).rejects.toThrow(Crash);
  const read = async () => {
    const [row] = await engine.database.query('SELECT place, receipts FROM sluice_backfills');
    return row;
  };
  await until(async () => (await read())?.receipts != null, 'Redis has the page');
  expect((await read())!.place).toBeNull();
  await engine.drain();
  await crashed;
  expect((await read())!.place).toBeNull();
  expect(await valuesOf(engine, to, ids.slice(0, 4))).toEqual([1, 2, 3, 0]);
});

it('points are exact although Redis has forgotten all ids, or all it had', async () => {
  const engine = await openEngine({ idempotencyWindowMs: 1000 });
  const ids = await openUsers(engine);
  await engine.worker();
  await expect(backfill(engine, 'r', from('loyalty'), { seam: crashAt('sent', 1) })).rejects.toThrow(Crash);
  await until(async () => (await engine.balanceInMysql('loyalty', '0')) === 1, 'the page is in MySQL');
  await passWindow(engine);
  // Half of the page may never have come.
  await expect(backfill(engine, 'r', from('loyalty'), { seam: crashAt('recorded', 1) })).rejects.toThrow(
    Crash,
  );
  const lost = await engine.redis.keys(`{${engine.name}:*`);
  await engine.redis.unlink(...lost);
  await backfill(engine, 'r', from('loyalty'));
  expect(await valuesOf(engine, 'loyalty', ids)).toEqual(TEN);
  const late = await engine.database.query('SELECT COUNT(*) AS found FROM sluice_entries');
  expect(Number(late[0]!.found)).toBe(10);
});

it.each([
  ['its ids expired', { idempotencyWindowMs: 1000 }, passWindow],
  [
    'younger ids pushed its ids out',
    { idempotencyLimit: 100 },
    async (engine: Engine) => {
      const sluice = await engine.producer();
      const ids = Array.from({ length: 2000 }, (_, n) => `i${n}`);
      await sluice.apply(ids.map(id => ({ counter: 'clicks', key: id, id })));
    },
  ],
  [
    'Redis lost it',
    {},
    async (engine: Engine) => {
      await engine.redis.unlink(...(await engine.redis.keys(`{${engine.name}:*`)));
      await (await engine.producer()).counter('clicks').increment('k');
    },
  ],
] as const)('counters: a page that nobody can prove is refused, since %s', async (_, settings, forget) => {
  const engine = await openEngine(settings);
  const ids = await openUsers(engine);
  await engine.worker();
  await expect(backfill(engine, 'r', from('views'), { seam: crashAt('sent', 1) })).rejects.toThrow(Crash);
  await until(async () => (await engine.counterInMysql('views', '20')) === 3, 'the page is in MySQL');
  await forget(engine);
  for (let tries = 0; tries < 2; tries++)
    await expect(backfill(engine, 'r', from('views'))).rejects.toMatchObject({ code: 'BACKFILL_UNPROVEN' });
  const run = await backfill(engine, 'r', from('views'), { unproven: 'discard' });
  expect(run.finishedAt).not.toBeNull();
  expect(await valuesOf(engine, 'views', ids)).toEqual(TEN);
});

it('counters: a page that MySQL has and Redis forgot is refused, before anybody has found Redis behind', async () => {
  const engine = await openEngine();
  const ids = await openUsers(engine);
  await (await engine.producer()).apply(ids.map(key => ({ counter: 'clicks', key, by: 1 })));
  await engine.drain();
  const keys = () => engine.redis.keys(`{${engine.name}:*`);
  const kept: [string, Buffer][] = [];
  for (const key of await keys()) kept.push([key, (await engine.redis.dumpBuffer(key))!]);
  // As after a failover to a replica that was behind. There is no worker that would notice, so the epoch is the old one.
  const seam = async (step: string) => {
    if (step !== 'accepted') return;
    await engine.drain();
    expect(await engine.counterInMysql('views', '20')).toBe(3);
    await engine.redis.unlink(...(await keys()));
    for (const [key, dump] of kept) await engine.redis.restore(key, 0, dump);
  };
  await expect(backfill(engine, 'r', from('views'), { seam })).rejects.toMatchObject({
    code: 'BACKFILL_UNPROVEN',
  });
  await engine.worker();
  await backfill(engine, 'r', from('views'), { unproven: 'discard' });
  expect(await valuesOf(engine, 'views', ids)).toEqual(TEN);
});

it('counters: an operator may say that none of an unproven page was counted', async () => {
  const engine = await openEngine({ idempotencyWindowMs: 1000 });
  const ids = await openUsers(engine);
  await engine.worker();
  await expect(backfill(engine, 'r', from('views'), { seam: crashAt('recorded', 1) })).rejects.toThrow(Crash);
  await passWindow(engine);
  await expect(backfill(engine, 'r', from('views'))).rejects.toMatchObject({ code: 'BACKFILL_UNPROVEN' });
  await backfill(engine, 'r', from('views'), { unproven: 'apply' });
  expect(await valuesOf(engine, 'views', ids)).toEqual(TEN);
});

it('counters: what an operator says of an unproven page holds for that page only', async () => {
  const engine = await openEngine({ idempotencyWindowMs: 1000 });
  const ids = await openUsers(engine);
  await engine.worker();
  await expect(backfill(engine, 'r', from('views'), { seam: crashAt('sent', 1) })).rejects.toThrow(Crash);
  await until(async () => (await engine.counterInMysql('views', '20')) === 3, 'the page is in MySQL');
  await passWindow(engine);
  let sendings = 0;
  const seam = async (step: string) => {
    if (step !== 'sent') return;
    sendings++;
    // It goes on with the page after an outage, and what was said still holds.
    if (sendings === 1) throw new RedisUnavailableError('here');
    if (sendings !== 3) return;
    await until(async () => (await engine.counterInMysql('views', '50')) === 6, 'the next page too');
    await passWindow(engine);
    throw new RedisUnavailableError('there');
  };
  await expect(
    backfill(engine, 'r', from('views'), { seam, patienceMs: 20_000, unproven: 'apply' }),
  ).rejects.toMatchObject({ code: 'BACKFILL_UNPROVEN', message: expect.stringContaining('"30"') });
  const run = await backfill(engine, 'r', from('views'), { unproven: 'discard' });
  expect(run.finishedAt).not.toBeNull();
  expect((await valuesOf(engine, 'views', ids)).slice(3)).toEqual(TEN.slice(3));
});

it('a value that the destination has no room for stops it, until the destination has', async () => {
  const engine = await openEngine();
  const ids = await openUsers(engine);
  await engine.worker();
  const views = (await engine.producer()).counter('views');
  await views.increment('40', Number.MAX_SAFE_INTEGER);
  // Redis knows the value, so it refuses what MySQL would put into quarantine.
  expect(await views.get('40')).toBe(Number.MAX_SAFE_INTEGER);
  const refused = {
    code: 'BACKFILL_REFUSED',
    message: expect.stringMatching(/1 values.*"40": OUT_OF_RANGE.*nearer to 0/),
  };
  await expect(backfill(engine, 'r', from('views'))).rejects.toMatchObject(refused);
  // The amounts of the page are recorded, so the table does not matter any more.
  await engine.database.query('UPDATE users SET points = 0 WHERE id = 40');
  await expect(backfill(engine, 'r', from('views'))).rejects.toMatchObject(refused);
  await views.increment('40', -Number.MAX_SAFE_INTEGER);
  await backfill(engine, 'r', from('views'));
  expect(await valuesOf(engine, 'views', ids)).toEqual(TEN);
});

it('counters: with its receipts, a page is proven however late it is', async () => {
  const engine = await openEngine({ idempotencyWindowMs: 1000 });
  const ids = await openUsers(engine);
  await engine.worker();
  await expect(backfill(engine, 'r', from('views'), { seam: crashAt('accepted', 1) })).rejects.toThrow(Crash);
  await passWindow(engine);
  await backfill(engine, 'r', from('views'));
  expect(await valuesOf(engine, 'views', ids)).toEqual(TEN);
});

it('a second process of a run is refused while the first lives, and the first ends if it lost the run', async () => {
  const engine = await openEngine();
  await openUsers(engine);
  await engine.worker();
  let isFirst = true;
  const seam = async () => {
    if (!isFirst) return;
    isFirst = false;
    await expect(backfill(engine, 'r', from('views'))).rejects.toMatchObject({ code: 'BACKFILL_RUNNING' });
    await engine.database.query("UPDATE sluice_backfills SET owner = 'other'");
  };
  await expect(backfill(engine, 'r', from('views'), { seam })).rejects.toMatchObject({
    code: 'BACKFILL_TAKEN_OVER',
  });
});

it('the same run with other options, and another run of the same column, are refused', async () => {
  const engine = await openEngine();
  const ids = await openUsers(engine);
  await engine.worker();
  await backfill(engine, 'r', from('views', { where: 'id < 50' }));
  const refused = (code: string) => ({ code });
  for (const more of [{ where: 'id < 60' }, {}, { value: 'home' }, { to: 'clicks' }, { mark: 'home' }])
    await expect(backfill(engine, 'r', from('views', more))).rejects.toMatchObject(
      refused('BACKFILL_CHANGED'),
    );
  const rest = from('views', { table: 'USERS', value: 'POINTS', where: 'id >= 50' });
  await expect(backfill(engine, 's', rest)).rejects.toMatchObject(refused('BACKFILL_REPEATED'));
  await backfill(engine, 's', from('views', { where: 'id >= 50 -- the rest' }), { again: true });
  expect(await valuesOf(engine, 'views', ids)).toEqual(TEN);
});

it('goes slower while the flush is behind: it waits between pages, and makes them smaller', async () => {
  const engine = await openEngine();
  await openUsers(engine);
  const rows = Array.from({ length: 1190 }, (_, n) => `(${1000 + n}, 1)`);
  await engine.database.query(`INSERT INTO users (id, points) VALUES ${rows.join(', ')}`);
  const lagMs = 500;
  const isBehind = async () =>
    (await engine.inspector.all()).some(({ lagSeconds }) => 1000 * lagSeconds > lagMs);
  // Nobody flushes an update of a service.
  await (await engine.producer()).counter('clicks').increment('k');
  await until(isBehind, 'the flush is behind');
  const [states, passed]: [string[], number[]] = [[], [0]];
  const onProgress = (counts: { passed: number }, state: string) => {
    states.push(state);
    if (state === 'copying') passed.push(counts.passed);
  };
  // Each page comes into MySQL only after the flush was behind.
  const seam = async (step: string) => {
    if (step !== 'accepted') return;
    await until(isBehind, 'the flush is behind with the page');
    await engine.drain();
  };
  const limits = { page: 1000, lagMs, patienceMs: 60_000 };
  const running = backfill(engine, 'r', from('views'), { ...limits, onProgress, seam });
  const waits = () => states.filter(state => state === 'waiting for the flush').length;
  await Promise.race([running, until(() => waits() >= 2, 'it waits')]);
  const [record] = await engine.database.query('SELECT page, place, finished_at FROM sluice_backfills');
  expect({ ...record }).toEqual({ page: null, place: null, finished_at: null });
  await engine.drain();
  await running;
  expect(passed.slice(1).map((sum, at) => sum - passed[at]!)).toEqual([500, 250, 200, 200, 50]);
});

it('stops if the flush is behind and does not move, and goes on later', async () => {
  const engine = await openEngine();
  const ids = await openUsers(engine);
  await (await engine.producer()).counter('clicks').increment('k');
  const limits = { lagMs: 200, patienceMs: 1000 };
  await until(
    async () => (await engine.inspector.all()).some(({ lagSeconds }) => 1000 * lagSeconds > limits.lagMs),
    'the flush is behind',
  );
  await expect(backfill(engine, 'r', from('views'), limits)).rejects.toMatchObject({
    code: 'BACKFILL_STALLED',
    message: expect.stringMatching(/partition \d+ is behind/),
  });
  expect((await engine.database.query('SELECT page FROM sluice_backfills'))[0]!.page).toBeNull();
  await engine.worker();
  await backfill(engine, 'r', from('views'));
  expect(await valuesOf(engine, 'views', ids)).toEqual(TEN);
});

it('two runs that mark the same rows are refused, and the second changes nothing', async () => {
  const engine = await openEngine();
  const ids = await openUsers(engine);
  await engine.database.query('ALTER TABLE users ADD COLUMN home2 TINYINT NOT NULL DEFAULT 0');
  await engine.worker();
  const seam = crashAt('accepted', 2);
  await expect(backfill(engine, 'p', from('loyalty', { mark: 'home' }), { seam })).rejects.toThrow(Crash);
  const marks = () => engine.database.query('SELECT id, home FROM users ORDER BY id');
  const before = await marks();
  expect(before.map(({ home }) => home)).toEqual([2, 2, 2, 1, 1, 1, 0, 0, 0, 0]);
  const [{ own }] = (await engine.database.query('SELECT DATABASE() AS own')) as [{ own: string }];
  for (const table of ['users', 'USERS', `${own}.users`])
    for (const again of [false, true])
      await expect(
        backfill(engine, 'v', from('views', { table, mark: 'HOME' }), { again }),
      ).rejects.toMatchObject({
        code: 'BACKFILL_MARK_IN_USE',
        message: expect.stringMatching(/backfill p is/),
      });
  expect(await marks()).toEqual(before);
  expect(await engine.database.query("SELECT run FROM sluice_backfills WHERE run = 'v'")).toEqual([]);
  await backfill(engine, 'v', from('views', { mark: 'home2' }));
  await backfill(engine, 'p', from('loyalty', { mark: 'home' }));
  expect(await valuesOf(engine, 'views', ids)).toEqual(TEN);
  expect(await valuesOf(engine, 'loyalty', ids)).toEqual(TEN);
  // The rows of a finished run have its marks for ever, so another one finds none.
  expect((await backfill(engine, 'w', from('clicks', { mark: 'home' }))).counts.passed).toBe(0);
});

it('of runs that begin at once and mark the same rows, only one is under way at a time', async () => {
  const engine = await openEngine();
  await openUsers(engine);
  await engine.worker();
  const underWay: number[] = [];
  const seam = async (step: string) => {
    if (step === 'finished') return;
    const [row] = await engine.database.query(
      'SELECT COUNT(*) AS found FROM sluice_backfills WHERE finished_at IS NULL',
    );
    underWay.push(Number(row!.found));
  };
  for (let round = 0; round < 3; round++) {
    await engine.database.query('UPDATE users SET home = 0');
    const ends = await Promise.allSettled(
      ['views', 'clicks', 'loyalty'].map(to =>
        backfill(engine, `${to}${round}`, from(to, { mark: 'home' }), { again: true, seam }),
      ),
    );
    const codes = ends.map(end => (end.status === 'fulfilled' ? 'ok' : end.reason.code));
    expect(codes).toContain('ok');
    expect(codes.filter(code => code !== 'ok' && code !== 'BACKFILL_MARK_IN_USE')).toEqual([]);
  }
  expect(new Set(underWay)).toEqual(new Set([1]));
});

it('values: an opening is older than any put, so it may be sent again and replaces nothing newer', async () => {
  const definitions = {
    values: { best: { keep: 'max' }, least: { keep: 'min' }, seen: { keep: 'last', ranked: true } },
  } as const;
  const engine = await openEngine({ partitions: 1 });
  const ids = await openUsers(engine);
  await engine.database.query('UPDATE users SET points = 0 WHERE id = 0');
  const sluice = await engine.producer({}, { definitions });
  const names = ['best', 'least', 'seen'] as const;
  // Put before: pending, in MySQL, and live.
  for (const name of names) {
    await sluice.value(name).put('10', 5);
    await engine.drain();
    await sluice.value(name).put('20', 5);
    await sluice.value(name).get('20');
    await sluice.value(name).get('30');
  }
  await engine.worker({}, {}, { definitions: parseDefinitions(definitions) });
  for (const name of names) {
    for (const step of STEPS)
      await expect(
        backfill(engine, name, from(name), { definitions, seam: crashAt(step, step === 'recorded' ? 2 : 0) }),
      ).rejects.toThrow(Crash);
    expect(await backfill(engine, name, from(name), { definitions })).toMatchObject({
      counts: { copied: 10 },
    });
  }
  // 0, 2 or 5, 3 or 5, then 4 to 10.
  const rest = TEN.slice(3);
  const values = () => Promise.all(names.map(name => sluice.value(name).getMany(ids)));
  const expected = [
    [0, 5, 5, ...rest],
    [0, 2, 3, ...rest],
    [0, 5, 5, ...rest],
  ];
  expect(await values()).toEqual(expected);
  await dropAllLive(engine, 0);
  expect(await values()).toEqual(expected);
  await until(async () => {
    const { exact, members } = await sluice
      .value('seen')
      .board.top(10)
      .catch(() => ({ exact: false, members: [] }));
    return exact && members.map(({ value }) => value).join() === '10,9,8,7,6,5,5,5,4,0';
  }, 'the ranks');
  await sluice.value('seen').put('40', 1);
  expect(await sluice.value('seen').get('40')).toBe(1);
});
