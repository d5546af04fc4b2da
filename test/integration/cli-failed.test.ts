// `sluice failed`: its output, its exit codes, and that a killed replay can be resumed.

import { expect, it } from 'vitest';
import { jsonLines, openDeployment } from '../support/command.ts';
import { until } from '../support/engine.ts';

const definitions = {
  counters: { page_views: { target: { table: 'products', key: 'id', column: 'views' } } },
  points: { loyalty: { target: { table: 'users', key: 'id', column: 'points' } } },
} as const;

/** A deployment with counters and accounts 1 to `count` in quarantine, since their rows are missing. */
async function openWithFailures(count: number) {
  const deployment = await openDeployment(definitions);
  await deployment.database.query(
    'CREATE TABLE products (id INT PRIMARY KEY, views BIGINT NOT NULL) ENGINE = InnoDB',
  );
  await deployment.database.query(
    'CREATE TABLE users (id INT PRIMARY KEY, points INT NOT NULL) ENGINE = InnoDB',
  );
  const lines: string[] = [];
  for (let n = 1; n <= count; n++) {
    lines.push(JSON.stringify({ counter: 'page_views', key: `${n}`, by: n }));
    const id = `order-${n}`;
    lines.push(JSON.stringify({ points: 'loyalty', account: `${n}`, amount: n, id, reason: 'purchase' }));
  }
  const worker = await deployment.worker();
  expect((await deployment.sluice(['ingest', '-'], {}, lines.join('\n'))).code).toBe(0);
  expect((await deployment.sluice(['drain'])).code).toBe(0);
  worker.child.kill('SIGTERM');
  expect((await worker.ended).code).toBe(0);
  return {
    ...deployment,
    addRows: (table: 'products' | 'users') =>
      deployment.database.query(
        `INSERT INTO ${table} VALUES ${Array.from({ length: count }, (_, n) => `(${n + 1}, 0)`).join(', ')}`,
      ),
    failed: (...args: string[]) => deployment.sluice(['failed', ...args]),
    async verified() {
      const { code, stdout } = await deployment.sluice(['verify', '--json']);
      expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 0, drift: [], ledger: [] });
    },
  };
}

it('failed updates are shown, with what a replay would do', async () => {
  const deployment = await openWithFailures(2);
  const list = JSON.parse((await deployment.failed('list', '--json')).stdout);
  expect(list).toMatchObject({ jobs: [], total: 4 });
  const rows = await deployment.database.query('SELECT id, sequence FROM sluice_quarantine');
  // How many batches a worker makes of the input depends on its speed: the number comes from the row.
  const sequenceOf = (id: number) => Number(rows.find(row => Number(row.id) === id)!.sequence);
  const counter = list.updates.find((update: { kind: string }) => update.kind === 'counter');
  const entry = list.updates.find(
    (update: { kind: string; key: string }) => update.kind === 'entry' && update.key === '2',
  );
  expect(counter).toEqual({
    id: expect.any(Number),
    kind: 'counter',
    name: 'page_views',
    key: expect.stringMatching(/^[12]$/),
    amount: Number(counter.key),
    updates: 1,
    version: null,
    entryId: null,
    reason: null,
    metadata: null,
    to: null,
    hold: null,
    cause: 'refused',
    code: 'TARGET_ROW_MISSING',
    partition: deployment.keys.partitionOf(counter.key),
    sequence: sequenceOf(counter.id),
    quarantinedAt: expect.stringMatching(/^20.*Z$/),
    takenBy: null,
  });
  expect(entry).toMatchObject({ name: 'loyalty', amount: 2, entryId: 'order-2', reason: 'purchase' });

  const text = await deployment.failed('list', '--kind', 'entry');
  expect(text).toMatchObject({ code: 0, stderr: '' });
  expect(text.stdout).toMatch(
    /^quarantined updates: 2\nnumber +kind +name +key +amount +cause +error code +partition +batch +quarantined at\n[- ]+\n/,
  );
  const batch = sequenceOf(entry.id);
  expect(text.stdout).toMatch(
    new RegExp(`^ *\\d+ +entry +loyalty +"2" +2 +refused +TARGET_ROW_MISSING +\\d +${batch} +20\\S+Z$`, 'm'),
  );
  const page = await deployment.failed('list', '--limit', '1');
  expect(page.stdout).toMatch(/\n1 of 4 shown; for more: --after 1, or --limit, or sluice failed export\n$/);

  const shown = await deployment.failed('show', String(entry.id));
  expect(shown.code).toBe(0);
  expect(shown.stdout).toMatch(
    /^state +in quarantine\nprogram +loyalty\naccount +"2"\namount +2\nid +"order-2"\nreason +"purchase"$/m,
  );
  const unknown = await deployment.failed('show', '99', 'job:7');
  expect(unknown).toEqual({
    code: 1,
    stdout: '',
    stderr:
      'sluice: no failed update or job has this number, now or before: job:7, 99; see sluice failed list\n',
  });

  const lines = jsonLines((await deployment.failed('export', '--name', 'page_views')).stdout);
  expect(lines).toHaveLength(2);
  expect(lines).toContainEqual(counter);

  await deployment.addRows('users');
  const dry = await deployment.failed('replay', '--all', '--dry-run');
  expect(dry.code).toBe(1);
  expect(dry.stdout).toMatch(/^nothing was changed; a replay would cover updates: 4, failed flush jobs: 0\n/);
  expect(dry.stdout).toMatch(/^ +2 +counter +page_views +TARGET_ROW_MISSING +refused:TARGET_ROW_MISSING$/m);
  expect(dry.stdout).toMatch(/^ +2 +entry +loyalty +TARGET_ROW_MISSING +replayed$/m);
  expect((await deployment.failed('audit')).stdout).toBe('no operations yet\n');
});

it('a replay writes mended updates, and keeps a record', async () => {
  const deployment = await openWithFailures(2);
  const rows = await deployment.database.query(
    'SELECT id, kind, item_key FROM sluice_quarantine ORDER BY id',
  );
  const counter = rows.find(row => row.kind === 'counter')!;
  const entry = rows.find(row => row.kind === 'entry' && String(row.item_key) === '2')!;
  await deployment.addRows('users');
  expect(await deployment.failed('replay', '--kind', 'entry', '--operator', 'olga', '--json')).toEqual({
    code: 0,
    stdout:
      '{"operation":1,"action":"replay","finished":true,"updates":{"replayed":2},"jobs":{},"takenBy":[]}\n',
    stderr: '',
  });
  const refused = await deployment.failed('replay', String(counter.id), String(entry.id));
  expect(refused.code).toBe(1);
  expect(refused.stdout).toBe(
    'operation 2 (replay) finished; updates: 1 already, 1 refused:TARGET_ROW_MISSING\n',
  );
  await deployment.addRows('products');
  expect((await deployment.failed('replay', '--code', 'TARGET_ROW_MISSING')).code).toBe(0);
  const points = await deployment.database.query('SELECT points FROM users ORDER BY id');
  expect(points.map(row => Number(row.points))).toEqual([1, 2]);
  await deployment.verified();

  const after = await deployment.failed('show', String(entry.id));
  expect(after.stdout).toMatch(/^state +out of quarantine\n/m);
  expect(after.stdout).toMatch(/^operation +1: replayed at 20\S+Z\noperation +2: already at 20\S+Z$/m);
  const audit = await deployment.failed('audit');
  expect(audit.stdout).toMatch(
    /^operation +action +operator +started at +finished at +outcomes +reason +filter\n/,
  );
  expect(audit.stdout).toMatch(/^ +1 +replay +olga +20\S+Z +20\S+Z +2 replayed +- +{"kind":"entry"}$/m);
  const one = await deployment.failed('audit', '2');
  expect(one.stdout).toMatch(/^updates +1 already, 1 refused:TARGET_ROW_MISSING$/m);
  expect(one.stdout).toMatch(/^ +\d +refused:TARGET_ROW_MISSING +20\S+Z +page_views +"\d" +\d$/m);
  expect((await deployment.failed('audit', '9')).code).toBe(2);
});

it('a replay goes on after its process was killed or told to stop', async () => {
  const deployment = await openWithFailures(20);
  await deployment.addRows('products');
  await deployment.addRows('users');
  const left = async () => {
    const [row] = await deployment.database.query('SELECT COUNT(*) AS n FROM sluice_quarantine');
    return Number(row!.n);
  };
  const killed = deployment.start(['failed', 'replay', '--all', '--rate', '20']);
  await until(async () => (await left()) <= 35, 'some to be replayed');
  killed.child.kill('SIGKILL');
  await killed.ended;
  const rest = await left();
  expect(rest).toBeGreaterThan(0);
  expect(await deployment.failed('audit')).toMatchObject({ stdout: expect.stringMatching(/ not finished /) });
  const stopped = deployment.start(['failed', 'replay', '--resume', '1', '--rate', '20', '--json']);
  await until(async () => (await left()) < rest, 'one more to be replayed');
  stopped.child.kill('SIGTERM');
  const end = await stopped.ended;
  expect(end.code).toBe(1);
  expect(JSON.parse(end.stdout)).toMatchObject({ operation: 1, finished: false });
  expect(end.stderr).toBe(
    'sluice: operation 1 is not finished; continue with: sluice failed replay --resume 1\n',
  );
  expect(await deployment.failed('replay', '--resume', '1', '--json')).toEqual({
    code: 0,
    stdout:
      '{"operation":1,"action":"replay","finished":true,"updates":{"replayed":40},"jobs":{},"takenBy":[]}\n',
    stderr: '',
  });
  const rows = await deployment.database.query(
    'SELECT views, points FROM products JOIN users USING (id) ORDER BY id',
  );
  expect(rows.map(row => [Number(row.views), Number(row.points)])).toEqual(
    Array.from({ length: 20 }, (_, n) => [n + 1, n + 1]),
  );
  await deployment.verified();
});

it('drops and edits keep the values exact', async () => {
  const deployment = await openWithFailures(2);
  await deployment.addRows('users');
  const worker = await deployment.worker();
  const unsure = await deployment.failed('drop', '--kind', 'counter', '--dry-run');
  expect(unsure.code).toBe(0);
  expect(unsure.stdout).toMatch(/^ +2 +counter +page_views +TARGET_ROW_MISSING +dropped$/m);
  const dropped = await deployment.failed('drop', '--kind', 'counter', '--reason', 'test data');
  expect(dropped).toEqual({
    code: 0,
    stdout: 'operation 1 (drop) finished; updates: 2 dropped\n',
    stderr: '',
  });
  expect(await deployment.read('page_views', '2')).toBe(0);
  const edit = '{"amount":30,"reason":null}';
  const edited = await deployment.failed('replay', '--key', '2', '--edit', edit, '--json');
  expect(edited.stdout).toBe(
    '{"operation":2,"action":"edit","finished":true,"updates":{"edited":1},"jobs":{},"takenBy":[]}\n',
  );
  const audit = await deployment.failed('audit', '--json');
  expect(JSON.parse(audit.stdout).operations).toMatchObject([
    { operation: 2, action: 'edit', change: JSON.parse(edit), filter: { key: '2' }, outcomes: { edited: 1 } },
    { operation: 1, action: 'drop', reason: 'test data', outcomes: { dropped: 2 } },
  ]);
  const points = await deployment.database.query('SELECT points FROM users ORDER BY id');
  expect(points.map(row => Number(row.points))).toEqual([0, 30]);
  await deployment.verified();
  worker.child.kill('SIGTERM');
  await worker.ended;
});
