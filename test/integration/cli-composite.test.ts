// Keys of several columns on the command line: lines of JSON, failed updates, drift.

import { expect, it } from 'vitest';
import { openDeployment } from '../support/command.ts';
import { setLive } from '../support/live.ts';

const definitions = {
  counters: {
    daily: {
      target: {
        table: 'daily',
        key: ['id', 'day'],
        column: 'views',
        missing: 'insert',
        insert: { source: 'web' },
      },
    },
    rated: { target: { table: 'rated', key: ['id', 'day'], column: 'views' } },
    plain: {},
  },
} as const;

it('ingest takes lists, and failed, verify and the audit record show and take their text', async () => {
  const deployment = await openDeployment(definitions);
  for (const name of ['daily', 'rated'])
    await deployment.database.query(
      `CREATE TABLE ${name} (id BIGINT UNSIGNED, day DATE, views INT NOT NULL, source VARCHAR(8) NOT NULL DEFAULT '', PRIMARY KEY (id, day))`,
    );
  const lines = [
    '{"counter":"daily","key":[42,"2026-11-28"]}',
    '{"counter":"daily","key":["42","2026-11-28"],"by":2}',
    '{"counter":"daily","key":[18446744073709551615,"2026-11-28"],"by":4}',
    '{"counter":"rated","key":[1,"2026-11-28"],"by":5}',
    '{"counter":"rated","key":[2,"2026-11-28"],"by":6}',
    '{"counter":"plain","key":"p"}',
    '{"counter":"daily","key":"42"}',
    '{"counter":"daily","key":[42]}',
    '{"counter":"daily","key":[4.5,"2026-11-28"]}',
    '{"counter":"plain","key":["a","b"]}',
  ];
  const ingested = await deployment.sluice(['ingest', '-'], {}, lines.join('\n'));
  expect(ingested.stdout).toContain('10 lines: 6 accepted, 0 duplicates, 4 rejected');
  expect(ingested.stderr).toMatch(
    /line 7: INVALID_KEY: The key of the counter "daily" must be a list of 2 parts/,
  );
  expect(ingested.stderr).toMatch(/line 8: INVALID_KEY.*it has 1 parts/);
  expect(ingested.stderr).toMatch(/line 9: INVALID_KEY/);
  expect(ingested.stderr).toMatch(/line 10: INVALID_KEY.*it is an array/);
  const worker = await deployment.worker();
  expect((await deployment.sluice(['drain'])).code).toBe(0);
  worker.child.kill('SIGTERM');
  expect((await worker.ended).code).toBe(0);
  const rows = await deployment.database.query(
    "SELECT CONCAT_WS(' ', id, day, views, source) AS line FROM daily ORDER BY id",
  );
  expect(rows.map(row => String(row.line))).toEqual([
    '42 2026-11-28 3 web',
    '18446744073709551615 2026-11-28 4 web',
  ]);

  const key = '["1","2026-11-28"]';
  const list = await deployment.sluice(['failed', 'list']);
  expect(list.stdout).toContain(`rated  ${key}`);
  expect((await deployment.sluice(['failed', 'list', '--key', key, '--json'])).stdout).toContain('"total":1');
  await deployment.database.query("INSERT INTO rated (id, day, views) VALUES (1, '2026-11-28', 10)");
  const replayed = await deployment.sluice(['failed', 'replay', '--key', key]);
  expect(replayed.stdout).toContain('1 replayed');
  const [row] = await deployment.database.query('SELECT views FROM rated');
  expect(row).toMatchObject({ views: 15 });

  expect(await deployment.sluice(['verify'])).toMatchObject({ code: 0 });
  await setLive(deployment, 'c', 'rated:["2","2026-11-28"]', 13);
  const drift = await deployment.sluice(['verify']);
  expect(drift.code).toBe(1);
  expect(drift.stdout).toMatch(/counter +rated +\["2","2026-11-28"\] +13 +6/);
  const repaired = await deployment.sluice(['verify', '--repair', '--operator', 'olga', '--reason', 'test']);
  expect(repaired.stdout).toMatch(/counter +rated +\["2","2026-11-28"\] +13 +6/);
  expect(await deployment.sluice(['verify'])).toMatchObject({ code: 0 });
});
