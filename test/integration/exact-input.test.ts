// Metadata in MySQL is what its caller wrote, byte for byte: from a line or a call, through quarantine,
// replay and edit, and after the migration of a ledger that held it as JSON.

import { expect, it } from 'vitest';
import { createProducer } from '../../src/producer/producer.ts';
import type { Database } from '../../src/shared/mysql/database.ts';
import { jsonLines, openDeployment } from '../support/command.ts';
import { until } from '../support/engine.ts';

const definitions = { counters: { views: {} }, points: { loyalty: {} } } as const;

/** Metadata as it is written, and as the ledger holds it if that differs. */
const TEXTS: readonly (readonly [written: string, held?: string])[] = [
  ['{"orderId":1546130668394913822}'],
  ['{"a":1e400,"b":-1e400,"c":1e-400,"d":-0}'],
  ['{"a":1.0,"b":12.50,"c":1E5,"d":0.1,"e":9007199254740990.6,"f":[1546130668394913822,{"g":1.10}]}'],
  ['{"__proto__":{"a":1.0},"constructor":1}'],
  ['{"nul":"\\u0000","quote":"\\"\\\\","udata":"C:\\\\udata","ключ":"😀\u2028é"}'],
  ['{ "b": 2.0 , "a" : "\\u00e9\\/" }', '{"a":"é/","b":2.0}'],
  [`{"long":${'1234567890'.repeat(500)}}`],
];
const held = TEXTS.map(([written, text]) => text ?? written);

const line = (n: number, metadata: string, id = 'line') =>
  `{"points":"loyalty","account":"a","amount":${n + 1},"id":"${id}${n}","metadata":${metadata}}`;

const ledger = async (database: Database) =>
  (await database.query('SELECT metadata FROM sluice_entries ORDER BY partition_id, ledger_no')).map(
    row => row.metadata,
  );

const openProducer = (env: Record<string, string>) =>
  createProducer({
    redis: env.REDIS_URL!,
    mysql: env.MYSQL_URL!,
    definitions,
    namespace: env.SLUICE_NAMESPACE!,
    settings: { partitions: Number(env.SLUICE_PARTITIONS) },
  });

it('ledger and history hold exactly what a line says, or the line is refused by its number', async () => {
  const deployment = await openDeployment(definitions);
  const lines = [
    ...TEXTS.map(([written], n) => line(n, written)),
    '{"counter":"views","key":"/","by":5.0}',
    '{"counter":"views","key":"/","by":9007199254740990.6}',
    '{"counter":"views","key":"/","by":1e400}',
    '{"counter":"views","counter":"views2","key":"/"}',
    line(0, '{"a":1,"a":2}', 'twice'),
    line(0, '{"a":"\\ud800"}', 'surrogate'),
    line(0, '[1]', 'array'),
  ];
  const sent = await deployment.sluice(['ingest', '--json', '-'], {}, `\ufeff${lines.join('\r\n')}`);
  expect(JSON.parse(sent.stdout)).toMatchObject({ accepted: 8, rejected: 6, nextLine: 15 });
  expect([...sent.stderr.matchAll(/line (\d+): (\w+)/g)].map(match => match.slice(1))).toEqual(
    expect.arrayContaining([
      ['9', 'INVALID_AMOUNT'],
      ['10', 'INVALID_AMOUNT'],
      ['11', 'DUPLICATE_KEY'],
      ['12', 'DUPLICATE_KEY'],
      ['13', 'INVALID_METADATA'],
      ['14', 'INVALID_METADATA'],
    ]),
  );
  const producer = await openProducer(deployment.env);
  const history = async () =>
    (await producer.points('loyalty').history('a')).map(({ metadataText }) => metadataText).reverse();
  expect(await history()).toEqual(held);
  await deployment.worker();
  expect((await deployment.sluice(['drain'])).code).toBe(0);
  expect(await ledger(deployment.database)).toEqual(held);
  expect(await history()).toEqual(held);
  const [newest, ...older] = await producer.points('loyalty').history('a');
  expect(newest).toMatchObject({ persisted: true, id: 'line6' });
  expect(older.at(-1)!.metadata).toEqual({ orderId: Number('1546130668394913822') });
  expect(await producer.counter('views').get('/')).toBe(5);
  await producer.close();

  // The same content spelt differently is the same entry; a number spelt differently is another one.
  const again = await deployment.sluice(
    ['ingest', '--json', '-'],
    {},
    [
      line(2, TEXTS[2]![0].replace('{"a":1.0,', '{ ').replace(/\}$/, ',"a":1.0}')),
      line(5, '{"a":"é/","b":2}'),
    ].join('\n'),
  );
  expect(JSON.parse(again.stdout)).toMatchObject({ duplicates: 1, rejected: 1 });
  expect(again.stderr).toMatch(/line 2: IDEMPOTENCY_KEY_REUSED/);
});

it('a call keeps a bigint, raw JSON, -0 and a Date', async () => {
  const deployment = await openDeployment(definitions);
  const producer = await openProducer(deployment.env);
  const metadata = { z: 1546130668394913822n, raw: JSON.rawJSON('1.50'), minus: -0, at: new Date(0) };
  await producer.points('loyalty').credit('a', 1, { id: '1', metadata });
  await deployment.worker();
  expect((await deployment.sluice(['drain'])).code).toBe(0);
  await producer.close();
  expect(await ledger(deployment.database)).toEqual([
    '{"at":"1970-01-01T00:00:00.000Z","minus":-0,"raw":1.50,"z":1546130668394913822}',
  ]);
});

it('quarantined metadata is shown, replayed, edited and recorded as it was written', {
  timeout: 180_000,
}, async () => {
  const deployment = await openDeployment(definitions);
  const { database, sluice } = deployment;
  await deployment.worker();
  await database.query(
    "CREATE TRIGGER refuse BEFORE INSERT ON sluice_entries FOR EACH ROW IF NEW.entry_id LIKE 'line%' THEN SIGNAL SQLSTATE '45000'; END IF",
  );
  await sluice(['ingest', '-'], {}, TEXTS.map(([written], n) => line(n, written)).join('\n'));
  const quarantined = () => database.query('SELECT id FROM sluice_quarantine ORDER BY amount');
  await until(async () => (await quarantined()).length === TEXTS.length, 'the entries to be in quarantine');
  const numbers = (await quarantined()).map(row => String(row.id));

  const list = await sluice(['failed', 'list', '--json']);
  for (const text of held) expect(list.stdout).toContain(`"metadata":${text}`);
  const [first, second, ...rest] = numbers;
  expect((await sluice(['failed', 'show', first!])).stdout).toContain(held[0]);

  // An edit that is refused again goes back as edited.
  const edit = '{ "amount": 9.0, "metadata": {"z": 1.0, "a": 1546130668394913822} }';
  const edited = '{"a":1546130668394913822,"z":1.0}';
  expect((await sluice(['failed', 'replay', first!, '--edit', edit])).stdout).toMatch(/1 refused:/);
  const [again] = await database.query('SELECT payload FROM sluice_quarantine WHERE id = ?', [first]);
  expect(again!.payload).toBe(`["loyalty","a","line0",9,null,${edited}]`);
  await database.query('DROP TRIGGER refuse');
  expect((await sluice(['failed', 'replay', first!, '--edit', '{"amount":1e1}'])).code).toBe(0);
  expect((await sluice(['failed', 'replay', second!, '--edit', edit])).code).toBe(0);
  expect((await sluice(['failed', 'replay', ...rest])).code).toBe(0);
  const rows = await database.query('SELECT amount, metadata FROM sluice_entries ORDER BY amount');
  const expected = [...held.slice(2).map((text, n) => [n + 3, text]), [9, edited], [10, edited]];
  expect(rows.map(row => [Number(row.amount), row.metadata])).toEqual(
    expected.sort(([a], [b]) => Number(a) - Number(b)),
  );

  const audit = await sluice(['failed', 'audit', '--json', '1']);
  expect(audit.stdout).toContain(`"change":{"amount":9,"metadata":${edited}}`);
  expect(audit.stdout).toContain(`"metadata":${held[0]}`);
  expect(jsonLines(audit.stdout)).toHaveLength(1);
});

it('an edit with a duplicate key is refused before it is recorded', async () => {
  const { sluice, database } = await openDeployment(definitions);
  const twice = '{"metadata":{"a":1,"a":2}}';
  expect(await sluice(['failed', 'replay', '--all', '--edit', twice])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--edit must be JSON: the key "a" occurs twice'),
  });
  expect(await database.query('SELECT 1 FROM sluice_operations')).toEqual([]);
});
