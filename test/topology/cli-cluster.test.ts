// The commands on Redis Cluster, which look for live values on every master.

import { expect, it } from 'vitest';
import { openDeployment } from '../support/command.ts';
import { ownCluster } from '../support/servers.ts';

it('ingest, status, drain and verify cover all masters', async () => {
  const { servers } = await ownCluster();
  const deployment = await openDeployment({ points: { loyalty: {} } }, { servers });
  const lines = Array.from(
    { length: 400 },
    (_, n) => `{"points":"loyalty","account":"${n}","amount":${n + 1},"id":"a"}`,
  );
  expect((await deployment.sluice(['ingest', '-'], {}, lines.join('\n'))).code).toBe(0);
  const status = JSON.parse((await deployment.sluice(['status', '--json'])).stdout);
  expect(status.partitions.map((p: { pendingUpdates: number }) => p.pendingUpdates > 0)).toEqual([
    true,
    true,
    true,
    true,
  ]);
  // MySQL is still empty: all that verify finds is in Redis.
  expect((await deployment.sluice(['verify', '--json'])).stdout).toBe(
    '{"checked":400,"drift":[],"ledger":[],"transfers":[]}\n',
  );
  const worker = await deployment.worker();
  expect((await deployment.sluice(['drain'])).code).toBe(0);
  worker.child.kill('SIGTERM');
  expect((await worker.ended).code).toBe(0);
  await deployment.database.query('DELETE FROM sluice_entries');
  await deployment.database.query('DELETE FROM sluice_accounts');
  const { code, stdout } = await deployment.sluice(['verify', '--json']);
  expect(code).toBe(1);
  const { checked, drift } = JSON.parse(stdout) as {
    checked: number;
    drift: { live: number; expected: number }[];
  };
  expect({ checked, drift: drift.length }).toEqual({ checked: 400, drift: 400 });
  expect(drift.every(({ live, expected }) => live > 0 && expected === 0)).toBe(true);
});
