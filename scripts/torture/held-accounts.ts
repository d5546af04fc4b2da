/** Compares what a client reads of accounts and holds with what the database has, when nothing is pending. */
import type { RowDataPacket } from 'mysql2/promise';
import { createProducer } from '../../src/producer/index.ts';
import type { Root } from './cluster-root.ts';
import type { Holdings } from './holdings.ts';
import { heldPoints } from './holds.ts';
import type { Stack } from './stack.ts';
import { definitions, partitions } from './traffic.ts';

const TO_EXPIRE =
  "SELECT COUNT(*) AS holds FROM sluice_holds WHERE status = 'open' AND expires_at IS NOT NULL";
/** Every nth hold is looked up. */
const lookedUp = 10;

/** Number of open holds that end by themselves. */
export async function holdsToExpire(root: Root): Promise<number> {
  const [[row]] = await root.query<RowDataPacket[]>(TO_EXPIRE);
  return Number(row!.holds);
}

/** What the metrics show of open holds, less the sums of their rows. */
const WRONG_SUMS = `SELECT program, partition_id AS p, SUM(holds) AS holds, SUM(points) AS points FROM (
    SELECT program, partition_id, holds, points FROM sluice_open_holds
    UNION ALL SELECT program, partition_id, -COUNT(*), -SUM(amount) FROM sluice_holds
      WHERE status = 'open' GROUP BY program, partition_id) both_sums
  GROUP BY program, partition_id HAVING SUM(holds) <> 0 OR SUM(points) <> 0`;

/** No loss excuses a difference: one transaction writes both. @returns what differs */
export async function compareOpenSums(root: Root): Promise<string[]> {
  const [rows] = await root.query<RowDataPacket[]>(WRONG_SUMS);
  return rows.map(
    ({ program, p, holds, points }) =>
      `sluice_open_holds of ${program} in partition ${p} has ${holds} holds and ${points} points too many`,
  );
}

/** @returns what differs */
export async function compareAccounts({ direct }: Stack, { balances, holds }: Holdings): Promise<string[]> {
  const { redisUrl: redis, mysqlUrl: mysql, namespace } = direct;
  const sluice = await createProducer({ redis, mysql, namespace, definitions, settings: { partitions } });
  const wrong: string[] = [];
  const compare = (what: string, read: object | undefined, expected: object) => {
    const [found, wanted] = [JSON.stringify(read), JSON.stringify(expected)];
    if (found !== wanted) wrong.push(`a client reads ${found} of ${what}, the database has ${wanted}`);
  };
  try {
    const held = heldPoints(holds);
    for (const name of new Set([...balances.keys(), ...held.keys()])) {
      const [program, account] = name.split(' ') as ['loyalty', string];
      const read = await sluice.points(program).account(account);
      const expected = { balance: balances.get(name) ?? 0, held: held.get(name) ?? 0 };
      compare(name, { balance: read.balance, held: read.held }, expected);
    }
    for (const [at, { program, account, id, amount, status, posted, expiresAt }] of holds.entries()) {
      if (at % lookedUp > 0) continue;
      const found = await sluice.points(program as 'loyalty').findHold(account, id);
      const read = found && { amount: found.amount, status: found.status, posted: found.posted };
      compare(`hold ${id} of ${program} ${account}, which expires at ${expiresAt}`, read, {
        amount,
        status,
        posted,
      });
    }
  } finally {
    await sluice.close();
  }
  return wrong;
}
