/** The job of a year's bonus. Invariant: each user up to `last_user` has the bonus in MySQL, or is counted as refused. */
import type { RowDataPacket } from 'mysql2/promise';
import { QuarantinedError } from 'sluice';
import { giveBack, type JobsProcess, runJobs } from '../queues.ts';
import type { Shop } from '../shop.ts';

export interface BonusJob {
  readonly year: number;
}
interface Run {
  readonly year: number;
  readonly points: number;
  readonly users: number;
  readonly refused: number;
  readonly total: number;
  readonly endedAt: Date | null;
  readonly lastUser: number;
}

/** UNIX_TIMESTAMP, since MySQL shows a time in the time zone of its server. */
const RUN = `SELECT year, points, last_user AS lastUser, users, refused, total, 1000 * UNIX_TIMESTAMP(ended_at) AS endedAt
  FROM bonus_runs WHERE year = ?`;
/** By the key, never by OFFSET: that reads and skips all rows before, and misses one for each row that was deleted. */
const USERS = 'SELECT id FROM users WHERE id > ? ORDER BY id LIMIT ?';
/** Only from the place that was read: a job whose process was taken for dead must not move it back. */
const MOVE = `UPDATE bonus_runs SET last_user = ?, users = users + ?, refused = refused + ?
  WHERE year = ? AND last_user = ?`;
const END = 'UPDATE bonus_runs SET ended_at = CURRENT_TIMESTAMP(3) WHERE year = ? AND last_user = ?';

export async function findRun({ database }: Shop, year: number): Promise<Run | undefined> {
  const [rows] = await database.query<RowDataPacket[]>(RUN, [year]);
  const [run] = rows;
  return run && ({ ...run, endedAt: run.endedAt === null ? null : new Date(Number(run.endedAt)) } as Run);
}

/** @returns how many were refused, with all others in MySQL. An outage throws, and the page is repeated later. */
async function pay({ sluice }: Shop, { year, points }: Run, users: readonly number[]): Promise<number> {
  const results = await sluice.apply(
    users.map(user => ({
      points: 'loyalty' as const,
      account: String(user),
      amount: points,
      id: `bonus:${year}:${user}`,
      reason: `bonus of ${year}`,
    })),
  );
  const outage = results.find(result => !result.ok && result.error.retryable);
  if (outage && !outage.ok) throw new Error(`Sluice refused users for now: ${outage.error.message}`);
  // One that MySQL refuses waits in quarantine for an operator; the others need not wait for that.
  const paid = await Promise.all(results.map(result => result.ok && result.persisted().then(isTrue, isNot)));
  return paid.filter(one => !one).length;
}

const isTrue = () => true;
function isNot(error: unknown): false {
  if (error instanceof QuarantinedError) return false;
  throw error;
}

export function bonusJobs(parts: JobsProcess) {
  const { shop, stopping } = parts;
  const { database, settings } = shop;
  return runJobs<BonusJob>(parts, 'bonus', 1, async (job, token) => {
    for (;;) {
      const run = (await findRun(shop, job.data.year))!;
      const { year, lastUser } = run;
      const [rows] = await database.query<RowDataPacket[]>(USERS, [lastUser, settings.bonusPage]);
      if (rows.length === 0) {
        await database.query(END, [year, lastUser]);
        return;
      }
      const users = rows.map(row => row.id as number);
      const refused = await pay(shop, run, users);
      await database.query(MOVE, [users.at(-1), users.length, refused, year, lastUser]);
      await job.updateProgress({ users: run.users + users.length, of: run.total });
      if (stopping.aborted) await giveBack(job, token);
    }
  });
}
