/** `sluice backfill` as a process that a test kills, and its record. */

import { expect } from 'vitest';
import type { Database } from '../../src/shared/mysql/database.ts';
import type { openDeployment, Running } from './command.ts';
import { until } from './engine.ts';

type Deployment = Awaited<ReturnType<typeof openDeployment>>;

/** A run's row. */
export async function runOf({ database }: Deployment, run: string) {
  const [row] = await database.query('SELECT * FROM sluice_backfills WHERE run = ?', [Buffer.from(run)]);
  return (
    row && {
      place: row.place,
      receipts: row.receipts,
      passed: JSON.parse(String(row.counts)).passed as number,
    }
  );
}

/** Starts the command, and kills it at each of these numbers of rows; resolves when it has ended by itself. */
export async function killedAt(deployment: Deployment, run: string, args: string[], at: readonly number[]) {
  for (const rows of at) {
    const running: Running = deployment.start(args);
    await until(
      async () => running.child.exitCode !== null || ((await runOf(deployment, run))?.passed ?? 0) >= rows,
      `${run} passes ${rows} rows`,
      600_000,
    );
    // A moment later, so that the kill may come at any step of a page.
    await new Promise(resolve => setTimeout(resolve, Math.random() * 200));
    running.child.kill('SIGKILL');
    const { code, stderr } = await running.ended;
    expect([code, stderr]).toEqual([null, '']);
  }
  return deployment.sluice(args);
}

/** An unfinished run that no process carries out. The age of its progress is 0, since that lies ahead. */
export async function insertUnfinished(database: Database): Promise<void> {
  const spec = { table: 't', key: ['id'], value: 'n', kind: 'c', to: 'views', where: null, mark: null };
  await database.query(
    `INSERT INTO sluice_backfills (run, spec, operator, counts, owner, owned_until, started_at, moved_at)
     VALUES ('r', ?, 'test', ?, 'o', '2000-01-01', UTC_TIMESTAMP(3), UTC_TIMESTAMP(3) + INTERVAL 1 DAY)`,
    [JSON.stringify(spec), JSON.stringify({ found: 5, passed: 2 })],
  );
}
