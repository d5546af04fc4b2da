// `sluice migrate`, `status`, `verify` and `drain`: their exact output as JSON, and their exit codes.

import { readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { Database } from '../../src/shared/mysql/database.ts';
import { FORMAT } from '../../src/shared/mysql/schema.ts';
import { openDeployment } from '../support/command.ts';
import { addToLive } from '../support/live.ts';

const MIGRATIONS = readdirSync(new URL('../../src/shared/mysql/migrations/', import.meta.url)).toSorted();
const definitions = { counters: { page_views: {} }, points: { loyalty: {} } } as const;

const LINES = [
  '{"counter":"page_views","key":"/"}',
  '{"counter":"page_views","key":"/","by":3}',
  '{"points":"loyalty","account":"00042","amount":5,"id":"a"}',
].join('\n');

it('migrate does its work once, however many processes run it', async () => {
  const deployment = await openDeployment(definitions, { migrated: false });
  const both = await Promise.all([
    deployment.sluice(['migrate', '--json']),
    deployment.sluice(['migrate', '--json']),
  ]);
  expect(both.map(({ code, stderr }) => [code, stderr])).toEqual([
    [0, ''],
    [0, ''],
  ]);
  const reports = both.map(({ stdout }) => JSON.parse(stdout));
  expect(reports.map(report => report.applied).toSorted()).toEqual([[], MIGRATIONS]);
  for (const report of reports) expect(report).toMatchObject({ format: FORMAT, partitions: 4 });
  await deployment.database.query(
    "UPDATE sluice_partitions SET sequence = 7, token = 'mine' WHERE partition_id = 2",
  );
  const watermarks = await deployment.database.query('SELECT * FROM sluice_partitions ORDER BY partition_id');
  expect(watermarks).toHaveLength(4);
  expect(await deployment.sluice(['migrate'])).toEqual({
    code: 0,
    stdout: `nothing to do; format ${FORMAT}, 4 partitions\n`,
    stderr: '',
  });
  expect(await deployment.database.query('SELECT * FROM sluice_partitions ORDER BY partition_id')).toEqual(
    watermarks,
  );
});

it('migrate refuses another number of partitions and a newer database without a change', async () => {
  const deployment = await openDeployment(definitions);
  const more = await deployment.sluice(['migrate', '--json'], { SLUICE_PARTITIONS: '8' });
  expect({ code: more.code, stdout: more.stdout }).toEqual({ code: 2, stdout: '' });
  expect(more.stderr).toMatch(/^sluice: PARTITION_COUNT_MISMATCH: .*Set SLUICE_PARTITIONS=4\./);
  expect(await deployment.database.query('SELECT partition_id FROM sluice_partitions')).toHaveLength(4);
  await deployment.database.query("UPDATE sluice_meta SET value = ? WHERE name = 'format'", [
    String(FORMAT + 1),
  ]);
  for (const command of ['migrate', 'status', 'worker']) {
    const newer = await deployment.sluice([command]);
    expect(newer.code).toBe(2);
    expect(newer.stderr + newer.stdout).toMatch(
      new RegExp(`NEWER_FORMAT: The database has format ${FORMAT + 1}, .*up to ${FORMAT};`),
    );
  }
});

it('migrate works in a database with the longest possible name', async () => {
  const deployment = await openDeployment(definitions);
  const long = deployment.name.padEnd(64, 'x');
  await deployment.database.query(`CREATE DATABASE ${long}`);
  const url = deployment.access.admin.mysqlUrl.replace(deployment.name, long);
  expect((await deployment.sluice(['migrate'], { MYSQL_URL: url })).stderr).toBe('');
  const database = new Database({ url }, { connections: 1, idleTransactionSeconds: 60, lockWaitSeconds: 5 });
  expect(await database.query('SELECT partition_id FROM sluice_partitions')).toHaveLength(4);
  await database.query(`DROP DATABASE ${long}`);
  await database.close();
});

it('status shows partitions, flush jobs and quarantine', async () => {
  const deployment = await openDeployment(definitions);
  const empty = (partition: number) =>
    `{"partition":${partition},"pendingUpdates":0,"pendingKeys":0,"inFlight":0,"lagSeconds":0,"sequence":0}`;
  expect(await deployment.sluice(['status', '--json'])).toEqual({
    code: 0,
    stdout: `{"partitions":[${[0, 1, 2, 3].map(empty).join(',')}],"queue":{"waiting":0,"active":0,"delayed":0,"failed":0},"quarantined":0,"held":[],"transfers":[],"ranks":[],"backfills":[],"database":{"writes":"yes","why":""},"declared":{"lost":0,"doubled":0}}\n`,
    stderr: '',
  });
  expect((await deployment.sluice(['ingest', '-'], {}, LINES)).code).toBe(0);
  await deployment.database.query(
    `INSERT INTO sluice_quarantine (partition_id, sequence, kind, name, item_key, amount, error_code, payload, created_at)
     VALUES (0, 1, 'counter', 'page_views', 'x', 1, 'X', '', UTC_TIMESTAMP(3))`,
  );
  await deployment.database.query(
    `INSERT INTO sluice_quarantine (partition_id, sequence, kind, name, item_key, amount, error_code, payload, created_at, cause)
     VALUES (0, 1, 'entry', 'loyalty', 'x', 1, 'ER_BAD_FIELD_ERROR', '', UTC_TIMESTAMP(3), 'held')`,
  );
  await deployment.database.query("INSERT INTO sluice_losses VALUES (1, 'lost', 'x', 7, UTC_TIMESTAMP(3))");
  const status = JSON.parse((await deployment.sluice(['status', '--json'])).stdout);
  const busy = Object.groupBy(status.partitions as Record<string, number>[], p => String(p.pendingUpdates));
  const counter = status.partitions[deployment.keys.partitionOf('/')];
  const account = status.partitions[deployment.keys.partitionOf('00042')];
  expect(counter).toMatchObject({ pendingUpdates: 2, pendingKeys: 1, inFlight: 0 });
  expect(account).toMatchObject({ pendingUpdates: 1, pendingKeys: 1, inFlight: 0 });
  expect(counter.lagSeconds).toBeGreaterThan(0);
  expect(busy['0']).toHaveLength(2);
  const { waiting, active, delayed, failed } = status.queue;
  expect({ jobs: waiting + delayed, active, failed }).toEqual({ jobs: 2, active: 0, failed: 0 });
  expect(status.quarantined).toBe(1);
  expect(status.held).toEqual([
    { kind: 'points', name: 'loyalty', table: null, rows: 1, code: 'ER_BAD_FIELD_ERROR' },
  ]);
  expect(status.declared).toEqual({ lost: 7, doubled: 0 });
  const { stdout } = await deployment.sluice(['status']);
  expect(stdout).toMatch(/^partition +pending updates +pending keys +in flight +lag, s +sequence$/m);
  expect(stdout).toMatch(
    /^flush jobs: \d waiting, 0 active, \d delayed, 0 failed\nin quarantine: 1\nheld: 1 rows of points loyalty, .*\ndeclared in total, at most: 7 updates lost, 0 doubled$/m,
  );
});

it('drain waits for workers, and says what is left if none comes', async () => {
  const deployment = await openDeployment(definitions);
  await deployment.sluice(['ingest', '-'], {}, LINES);
  const late = await deployment.sluice(['drain', '--timeout', '0.3', '--json']);
  expect({ code: late.code, stdout: late.stdout }).toEqual({
    code: 1,
    stdout: '{"drained":false,"left":3,"inTransit":0,"aside":0}\n',
  });
  expect(late.stderr).toMatch(
    /after 0\.3 s, 3 updates of 2 partitions are not in the database; check with "sluice health --ready"/,
  );
  const waiting = deployment.start(['drain', '--json', '--timeout', '60']);
  await new Promise(resolve => waiting.child.stderr!.once('data', resolve));
  const worker = await deployment.worker();
  expect(await waiting.ended).toMatchObject({
    code: 0,
    stdout: '{"drained":true,"left":0,"inTransit":0,"aside":0}\n',
  });
  const [row] = await deployment.database.query('SELECT value FROM sluice_counters');
  expect(String(row!.value)).toBe('4');
  expect(await deployment.sluice(['drain', '--timeout', '0'])).toEqual({
    code: 0,
    stdout: 'drained\n',
    stderr: '',
  });
  worker.child.kill('SIGTERM');
  await worker.ended;
});

it('verify finds a live value that drifted and a ledger that does not add up', async () => {
  const deployment = await openDeployment(definitions);
  await deployment.sluice(['ingest', '-'], {}, LINES);
  // Pending updates are not drift.
  expect((await deployment.sluice(['verify', '--json'])).stdout).toBe(
    '{"checked":2,"drift":[],"ledger":[],"transfers":[]}\n',
  );
  const worker = await deployment.worker();
  expect((await deployment.sluice(['drain'])).code).toBe(0);
  expect(await deployment.sluice(['verify'])).toEqual({
    code: 0,
    stdout: '2 comparisons, 0 keys with drift, 0 ledgers and 0 transfers that do not add up\n',
    stderr: '',
  });
  // A read makes the value live.
  expect(await deployment.read('page_views', '/')).toBe(4);
  await addToLive(deployment, 'c', 'page_views:/', 7);
  await deployment.database.query('UPDATE sluice_accounts SET balance = 8');
  expect(await deployment.sluice(['verify', '--json'])).toEqual({
    code: 1,
    stdout:
      '{"checked":2,"drift":[{"kind":"counter","name":"page_views","key":"/","live":11,"expected":4},' +
      '{"kind":"points","name":"loyalty","key":"00042","live":5,"expected":8}],' +
      '"ledger":[{"program":"loyalty","account":"00042","balance":8,"sum":5}],"transfers":[]}\n',
    stderr: '',
  });
  const { code, stdout } = await deployment.sluice(['verify']);
  expect(code).toBe(1);
  expect(stdout).toMatch(/^counter +page_views +"\/" +11 +4$/m);
  worker.child.kill('SIGTERM');
  await worker.ended;
});

it('an interrupted migrate goes on', async () => {
  const deployment = await openDeployment(definitions);
  // The state of a migration that ran some of its statements and died before it recorded that.
  await deployment.database.query("DELETE FROM sluice_meta WHERE name <> 'deployment'");
  await deployment.database.query('DROP TABLE sluice_losses, sluice_targets');
  const report = await deployment.sluice(['migrate', '--json']);
  expect(JSON.parse(report.stdout)).toMatchObject({ applied: MIGRATIONS, format: FORMAT });
  expect(await deployment.database.query('SELECT updates FROM sluice_partitions')).toHaveLength(4);
  expect(await deployment.database.query('SELECT 1 FROM sluice_losses, sluice_targets')).toEqual([]);
});

it('migrate refuses tables that no release wrote, and says what to do', async () => {
  const deployment = await openDeployment(definitions);
  await deployment.database.query("UPDATE sluice_meta SET value = '2' WHERE name = 'format'");
  expect(await deployment.sluice(['migrate'])).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^sluice: DATABASE_UNSUITABLE: .*format 2, .*Use a new database/),
  });
});
