// Holds while workers crash, Redis forgets, MySQL refuses rows and mapped tables take none.

import { describe, expect, it } from 'vitest';
import { endId, heldId } from '../../src/shared/updates/hold.ts';
import { openEngine, until } from '../support/engine.ts';
import { author, openFailed } from '../support/failed.ts';
import { expectNoDrift, expectOpenSums, holdRows, withAccount } from '../support/holds.ts';
import { dropAllLive } from '../support/live.ts';
import { openShop } from '../support/mapped.ts';
import { openProxy } from '../support/proxy.ts';
import { ledger, refuse } from '../support/transfers.ts';

const open = async () => withAccount(await openEngine({ partitions: 1 }));
const idName = (id: string) => `p9:loyalty:a${id}`;

const STEPS = ['claimed', 'locked', 'written', 'recorded', 'checked', 'committed'] as const;

describe('a worker crashes', () => {
  it.each(STEPS)('at "%s", and the next one writes the batch', async step => {
    const { engine, points } = await open();
    await points.hold('a', 40, { id: 'posted' });
    await points.hold('a', 30, { id: 'voided' });
    await points.hold('a', 20, { id: 'open' });
    await points.post('a', 'posted', 15);
    engine.crashAt(step);
    await engine.flusher.flush(0).catch(() => {});
    await points.void('a', 'voided');
    await dropAllLive(engine, 0);
    expect(await points.account('a')).toEqual({ balance: 85, held: 20, available: 65 });
    expect(await points.findHold('a', 'voided')).toMatchObject({ status: 'voided' });
    expect(await points.findHold('a', 'posted')).toMatchObject({ status: 'posted', posted: 15 });
    engine.crashAt(undefined);
    await engine.drain();
    await expectNoDrift(engine, 'a');
    expect(await holdRows(engine, 'a')).toEqual({
      posted: { amount: 40, status: 'posted', posted: 15 },
      voided: { amount: 30, status: 'voided', posted: 0 },
      open: { amount: 20, status: 'open', posted: 0 },
    });
    expect(await engine.balanceInMysql('loyalty', 'a')).toBe(85);
    expect(await expectOpenSums(engine)).toEqual([
      { program: 'loyalty', partition: 0, holds: 1, points: 20 },
    ]);
  });
});

describe('what MySQL knew and Redis had lost', () => {
  it('a second end is left out, its receipt says so, and Redis forgets it', async () => {
    const { engine, points } = await open();
    await points.hold('a', 50, { id: 'h' });
    await engine.drain();
    // A claim that Redis forgot: the void is in MySQL, and nothing in Redis knows it.
    await engine.database.query(
      "UPDATE sluice_holds SET status = 'voided', ended_at = UTC_TIMESTAMP(3) WHERE hold_id = 'h'",
    );
    const post = await points.post('a', 'h', 50);
    expect(await points.account('a')).toMatchObject({ balance: 50, held: 0 });
    await engine.drain();
    await expect(post.persisted()).rejects.toMatchObject({ code: 'HOLD_ENDED', status: 'voided' });
    expect(await points.account('a')).toEqual({ balance: 100, held: 0, available: 100 });
    expect(await holdRows(engine, 'a')).toEqual({ h: { amount: 50, status: 'voided', posted: 0 } });
    expect(await engine.redis.hexists(engine.keys.of(0, 'ids'), idName(endId('h')))).toBe(0);
    await expect(points.post('a', 'h', 50)).rejects.toMatchObject({ code: 'HOLD_ENDED', status: 'voided' });
    expect(await points.void('a', 'h')).toMatchObject({ duplicate: true });
    await expectNoDrift(engine, 'a');
  });

  it('a hold that is there is left out, and ends as it stands there', async () => {
    const { engine, points } = await open();
    const first = await points.hold('a', 50, { id: 'h' });
    await engine.drain();
    await first.persisted();
    // Redis goes back to before the hold: its record says that there is none.
    await engine.redis.hdel(engine.keys.of(0, 'ids'), idName(heldId('h')));
    await engine.redis.hset(engine.keys.of(0, 'live:young'), 'h9:loyalty:ah', 'n', 'ployalty:a', '100');
    await points.hold('a', 50, { id: 'h' });
    await points.post('a', 'h', 20);
    await engine.drain();
    expect(await holdRows(engine, 'a')).toEqual({ h: { amount: 50, status: 'posted', posted: 20 } });
    expect(await points.account('a')).toEqual({ balance: 80, held: 0, available: 80 });
    await expectNoDrift(engine, 'a');
  });
});

describe('MySQL refuses', () => {
  it('the debit of a post: the hold is posted, and only the debit waits in quarantine', async () => {
    const { engine, points } = await open();
    await points.hold('a', 50, { id: 'h' });
    const allow = await refuse(engine, 'NEW.amount < 0');
    const receipt = await points.post('a', 'h', 30, { reason: 'shipped', metadata: { order: 7 } });
    await engine.drain();
    await expect(receipt.persisted()).rejects.toMatchObject({ code: 'QUARANTINED' });
    expect(await holdRows(engine, 'a')).toEqual({ h: { amount: 50, status: 'posted', posted: 30 } });
    await dropAllLive(engine, 0);
    expect(await points.account('a')).toEqual({ balance: 70, held: 0, available: 70 });
    await allow();
    const failed = await openFailed(engine);
    expect((await failed.replay({}, author)).updates).toEqual({ replayed: 1 });
    const rows = await ledger(engine, 'a');
    expect(rows.at(-1)).toMatchObject({ id: endId('h'), amount: -30, balance: 70 });
    expect(await points.account('a')).toEqual({ balance: 70, held: 0, available: 70 });
    await expectNoDrift(engine, 'a');
  });

  it('and the debit is dropped: its points are back, the hold stays posted', async () => {
    const { engine, points } = await open();
    await points.hold('a', 50, { id: 'h' });
    const allow = await refuse(engine, 'NEW.amount < 0');
    await points.post('a', 'h', 30);
    await engine.drain();
    await allow();
    const failed = await openFailed(engine);
    expect((await failed.drop({}, { ...author, reason: 'test' })).updates).toEqual({ accepted: 1 });
    await engine.drain();
    expect(await points.account('a')).toEqual({ balance: 100, held: 0, available: 100 });
    expect(await holdRows(engine, 'a')).toMatchObject({ h: { status: 'posted' } });
    await expectNoDrift(engine, 'a');
  });
});

describe('MySQL is away', () => {
  it.each(['refuse', 'silence'] as const)(
    'a new hold is refused, all else of its account goes on (%s)',
    async how => {
      const engine = await openEngine({ partitions: 1 });
      const proxy = await openProxy(engine.mysqlUrl);
      const points = (await engine.producer({ mysqlUrl: proxy.url })).points('loyalty');
      await points.credit('a', 100, { id: 'start' });
      await points.hold('a', 30, { id: 'posted' });
      await points.hold('a', 20, { id: 'voided' });
      await points.balance('b');
      if (how === 'refuse') proxy.refuse();
      else proxy.silence('silent');
      const outcome = (call: Promise<{ value: number | null; held?: number; duplicate: boolean }>) =>
        call.then(
          ({ value, held, duplicate }) => (duplicate ? 'duplicate' : `${value}/${held}`),
          error => error.code,
        );
      // One micro-batch: what stands behind the hold keeps its order, and needs what stands before it.
      const together = [
        points.hold('a', 5, { id: 'new' }),
        points.credit('a', 50, { id: 'credit' }),
        points.debit('a', 100, { id: 'debit' }),
        points.post('a', 'new'),
        points.hold('a', 30, { id: 'posted' }),
        points.post('a', 'posted', 25),
        points.credit('b', 1, { id: 'other' }),
      ].map(outcome);
      // If nothing answers, these come while the record is looked up.
      if (how === 'silence') await until(() => proxy.swallowed > 0, 'the record to be looked up');
      const later = [points.void('a', 'voided'), points.debit('a', 20, { id: 'last' })].map(outcome);
      expect(await Promise.all([...together, ...later])).toEqual([
        'DATABASE_UNAVAILABLE',
        '150/undefined',
        '50/undefined',
        'DATABASE_UNAVAILABLE',
        'duplicate',
        '25/20',
        '1/undefined',
        '25/0',
        '5/undefined',
      ]);
      proxy.open();
      await engine.drain();
      expect(await holdRows(engine, 'a')).toEqual({
        posted: { amount: 30, status: 'posted', posted: 25 },
        voided: { amount: 20, status: 'voided', posted: 0 },
      });
      expect((await ledger(engine, 'a')).map(({ amount }) => amount)).toEqual([100, 50, -100, -25, -20]);
      await expectNoDrift(engine, 'a');
    },
  );
});

describe('a mapped table cannot be written', () => {
  it('holds and voids go on, and the debit of a post is held', async () => {
    const target = { table: 'users', key: 'id', column: 'points', missing: 'insert' } as const;
    const shop = await openShop(
      { points: { loyalty: { floor: 0, target } } },
      'CREATE TABLE users (id INT PRIMARY KEY, points INT NOT NULL DEFAULT 0)',
    );
    const points = shop.sluice.points('loyalty');
    await points.credit('1', 100, { id: 'start' });
    await points.hold('1', 30, { id: 'posted' });
    await points.hold('1', 20, { id: 'voided' });
    await shop.drain();
    await shop.database.query('ALTER TABLE users RENAME TO away');
    await points.post('1', 'posted', 25);
    await points.void('1', 'voided');
    await points.hold('1', 10, { id: 'open' });
    await shop.drain();
    expect(await points.account('1')).toEqual({ balance: 75, held: 10, available: 65 });
    expect((await shop.held()).map(row => row.split(' ').slice(0, 2).join(' '))).toEqual(['1 -25']);
    expect(await holdRows(shop, '1')).toMatchObject({
      posted: { status: 'posted', posted: 25 },
      voided: { status: 'voided' },
      open: { status: 'open' },
    });
    await shop.database.query('ALTER TABLE away RENAME TO users');
    await until(async () => (await shop.held()).length === 0, 'the held debit to be written');
    expect(await shop.database.query('SELECT points FROM users')).toEqual([{ points: 75 }]);
    await shop.forget();
    expect(await points.account('1')).toEqual({ balance: 75, held: 10, available: 65 });
  });
});

describe('the end of time', () => {
  it('is sent once, although a worker froze with an old watermark', async () => {
    const { engine, points } = await open();
    await points.hold('a', 30, { id: 'h', expiresInMs: 1 });
    await engine.drain();
    let frozen: (() => void) | undefined;
    const late = engine
      .expiry(async step => {
        if (step === 'read' && !frozen) await new Promise<void>(resolve => (frozen = resolve));
      })
      .once();
    await until(() => frozen !== undefined);
    await until(async () => {
      await engine.expiry().once();
      return (await points.account('a')).held === 0;
    });
    await engine.drain();
    // Redis forgets the id, as after its window.
    await engine.redis.del(engine.keys.of(0, 'ids'));
    frozen!();
    await late;
    await engine.drain();
    expect(await points.account('a')).toEqual({ balance: 100, held: 0, available: 100 });
    expect(await holdRows(engine, 'a')).toEqual({ h: { amount: 30, status: 'expired', posted: 0 } });
    await expectNoDrift(engine, 'a');
  });

  it('does not end a hold that was posted in time and is not flushed yet', async () => {
    const { engine, points } = await open();
    await points.hold('a', 30, { id: 'h', expiresInMs: 60_000 });
    await engine.drain();
    await points.post('a', 'h', 10);
    await engine.database.query('UPDATE sluice_holds SET expires_at = UTC_TIMESTAMP(3) - INTERVAL 1 SECOND');
    await engine.expiry().once();
    await engine.drain();
    expect(await holdRows(engine, 'a')).toEqual({ h: { amount: 30, status: 'posted', posted: 10 } });
    expect(await points.account('a')).toMatchObject({ balance: 90, held: 0 });
  });
});
