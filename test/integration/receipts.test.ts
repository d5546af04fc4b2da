// `persisted()` tells the result of its own update, and of no other.

import { describe, expect, it } from 'vitest';
import { openEngine } from '../support/engine.ts';

const outcome = (waiting: Promise<void>) =>
  waiting.then(
    () => 'persisted',
    error => error.code,
  );
const soon = { timeoutMs: 5000 };

const refuse = (table: string, event: string, condition: string) =>
  `CREATE TRIGGER refuse BEFORE ${event} ON ${table} FOR EACH ROW BEGIN IF ${condition} THEN SIGNAL SQLSTATE '45000'; END IF; END`;
const REFUSE_13 = refuse('sluice_entries', 'INSERT', 'NEW.amount = 13');

async function open() {
  const engine = await openEngine({ partitions: 1 });
  const sluice = await engine.producer();
  return { engine, views: sluice.counter('views'), loyalty: sluice.points('loyalty') };
}

describe('a receipt', () => {
  it('rejects for a quarantined entry, also for a caller that repeats it', async () => {
    const { engine, loyalty } = await open();
    await engine.database.query(REFUSE_13);
    const first = await loyalty.credit('a', 13, { id: 'x' });
    await engine.drain();
    expect(await outcome(first.persisted(soon))).toBe('QUARANTINED');
    const repeat = await loyalty.credit('a', 13, { id: 'x' });
    expect(repeat.duplicate).toBe(true);
    expect(await outcome(repeat.persisted(soon))).toBe('QUARANTINED');
    const other = await loyalty.credit('a', 14, { id: 'y' });
    await engine.drain();
    expect(await outcome(other.persisted(soon))).toBe('persisted');
    const otherAgain = await loyalty.credit('a', 14, { id: 'y' });
    expect(await outcome(otherAgain.persisted(soon))).toBe('persisted');
  });

  it('rejects for a repeated entry, although Redis has forgotten that the first one is in quarantine', async () => {
    const { engine, loyalty } = await open();
    await engine.database.query(REFUSE_13);
    await loyalty.credit('a', 13, { id: 'refused' });
    await loyalty.credit('a', 14, { id: 'written' });
    await engine.drain();
    await engine.redis.del(await engine.redis.keys(`{${engine.name}:0}:*`));
    const again = (await engine.producer()).points('loyalty');
    const [refused, written] = await Promise.all([
      again.credit('a', 13, { id: 'refused' }),
      again.credit('a', 14, { id: 'written' }),
    ]);
    expect([refused.duplicate, written.duplicate]).toEqual([false, false]);
    await engine.drain();
    expect(await outcome(refused.persisted(soon))).toBe('QUARANTINED');
    expect(await outcome(written.persisted(soon))).toBe('persisted');
    expect(await engine.balanceInMysql('loyalty', 'a')).toBe(14);
    // An entry that the ledger has already does not count as quarantined.
    expect(await engine.redis.hget(engine.keys.state(0), 'quarantined')).toBe('1');
  });

  it.each([-1, 1])('rejects whichever clock is ahead (%i hour)', async hours => {
    const { engine, views, loyalty } = await open();
    await engine.database.query(REFUSE_13);
    await engine.database.query(
      `CREATE TRIGGER refuse_counter BEFORE INSERT ON sluice_counters FOR EACH ROW BEGIN IF NEW.value = 13 THEN SIGNAL SQLSTATE '45000'; END IF; END`,
    );
    const entry = await loyalty.credit('a', 13, { id: 'x' });
    const counted = await views.increment('k', 13);
    await engine.drain();
    await engine.database.query('UPDATE sluice_quarantine SET created_at = created_at + INTERVAL ? HOUR', [
      hours,
    ]);
    expect(await outcome(entry.persisted(soon))).toBe('QUARANTINED');
    expect(await outcome(counted.persisted(soon))).toBe('QUARANTINED');
  });

  it('resolves although another key of its batch was quarantined', async () => {
    const { engine, views, loyalty } = await open();
    await engine.database.query(REFUSE_13);
    const [mine, theirs, counted] = await Promise.all([
      loyalty.credit('a', 5, { id: 'x' }),
      loyalty.credit('b', 13, { id: 'x' }),
      views.increment('a'),
    ]);
    await engine.drain();
    expect(
      await Promise.all([mine, theirs, counted].map(receipt => outcome(receipt.persisted(soon)))),
    ).toEqual(['persisted', 'QUARANTINED', 'persisted']);
  });

  it('resolves although an earlier or later update of its counter was quarantined', async () => {
    const { engine, views } = await open();
    await engine.database.query(refuse('sluice_counters', 'UPDATE', 'NEW.value > 100'));
    const send = async (by: number) => {
      const receipt = await views.increment('k', by);
      const waiting = outcome(receipt.persisted(soon));
      await engine.drain();
      return waiting;
    };
    expect(await send(1)).toBe('persisted');
    expect(await send(1000)).toBe('QUARANTINED');
    expect(await send(1)).toBe('persisted');
    expect(await engine.counterInMysql('views', 'k')).toBe(2);
  });
});

it('a receipt with an infinite timeout waits as long as it takes', async () => {
  const { engine, views } = await open();
  const receipt = await views.increment('k');
  let settled = false;
  const waiting = outcome(receipt.persisted({ timeoutMs: Number.POSITIVE_INFINITY })).finally(() => {
    settled = true;
  });
  // A later wait that times out shows that time has passed.
  expect(await outcome(receipt.persisted({ timeoutMs: 200 }))).toBe('PERSIST_TIMEOUT');
  expect(settled).toBe(false);
  await engine.drain();
  expect(await waiting).toBe('persisted');
});
