/** `sluice backfill` as a process that a test kills. */

import { expect } from 'vitest';
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
