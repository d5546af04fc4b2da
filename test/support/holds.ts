/** What tests of holds look at: rows of `sluice_holds`, and both numbers of an account wherever they are. */
import { expect } from 'vitest';
import { readBalance } from '../../src/shared/balance.ts';
import type { Engine } from './engine.ts';

/** Rows of an account's holds, by their ids. */
export async function holdRows({ database }: Pick<Engine, 'database'>, account: string) {
  const rows = await database.query(
    'SELECT hold_id, amount, status, posted, expires_at, ended_at FROM sluice_holds WHERE account = ?',
    [Buffer.from(account)],
  );
  return Object.fromEntries(
    rows.map(row => [
      String(row.hold_id),
      { amount: Number(row.amount), status: String(row.status), posted: Number(row.posted) },
    ]),
  );
}

/** What `sluice_open_holds` says must be the sums of the open rows, which it returns by program. */
export async function expectOpenSums({ database }: Pick<Engine, 'database'>) {
  const read = async (sql: string) =>
    (await database.query(sql)).map(({ program, partition_id: partition, holds, points }) => ({
      program: String(program),
      partition: Number(partition),
      holds: Number(holds),
      points: Number(points),
    }));
  const order = 'ORDER BY program, partition_id';
  const kept = await read(
    `SELECT program, partition_id, holds, points FROM sluice_open_holds WHERE holds <> 0 OR points <> 0 ${order}`,
  );
  const counted = await read(
    `SELECT program, partition_id, COUNT(*) AS holds, SUM(amount) AS points FROM sluice_holds
     WHERE status = 'open' GROUP BY program, partition_id ${order}`,
  );
  expect(kept).toEqual(counted);
  return kept;
}

/** An engine with one partition and an account that has 100 points in MySQL. */
export async function withAccount(engine: Engine) {
  const points = (await engine.producer()).points('loyalty');
  await points.credit('a', 100, { id: 'start' });
  await engine.drain();
  return { engine, points };
}

/** The live text of an account; undefined if it is cold. */
async function liveText({ redis, keys }: Engine, account: string): Promise<string | undefined> {
  for (const hash of ['live:young', 'live:old'] as const) {
    const text = await redis.hget(keys.of(keys.partitionOf(account), hash), `ployalty:${account}`);
    if (text !== null) return text;
  }
  return undefined;
}

/** Compares balance and held points of the account in Redis, if it is live, with what a cold read finds. */
export async function expectNoDrift(engine: Engine, account: string): Promise<void> {
  const text = await liveText(engine, account);
  const found = await engine.compare('p', 'loyalty', account);
  if (text === undefined) return;
  const { balance, held } = readBalance(text);
  expect({ balance, held }).toEqual({ balance: found.expected, held: found.expectedHeld ?? 0 });
}
