// `sluice ingest`: MySQL holds exactly what the file says, whatever the lines are and whatever is killed.

import { createReadStream } from 'node:fs';
import { expect, it } from 'vitest';
import { LIMITS } from '../../src/shared/limits.ts';
import { openDeployment } from '../support/command.ts';
import { until } from '../support/engine.ts';

const definitions = {
  counters: { page_views: {}, clicks: {} },
  points: { loyalty: { floor: 0 } },
} as const;

/** Keys that careless code would merge, cut or refuse. */
const ODD_KEYS = [
  '/',
  '/index.html',
  '/Index.html',
  '/index.html ',
  ' /index.html',
  'é',
  'e\u0301',
  'ß',
  'ss',
  'SS',
  'İ',
  'i',
  '😀',
  '👩‍👩‍👧',
  'a\u0000',
  'a',
  '\u0000',
  'a\u0000b',
  'line\nbreak',
  'tab\t',
  'quote"\'`\\',
  '%',
  '_',
  ':',
  'a:b',
  '{a}',
  '0',
  '00',
  '-1',
  'null',
  '\u{10ffff}',
  '\ufeff',
  '\u200b',
  'x'.repeat(LIMITS.key),
  '好'.repeat(170),
]; // prettier-ignore

/** JSON with an escape for every character outside plain ASCII. */
const escaped = (value: unknown) =>
  JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

interface Generated {
  lines: string[];
  counters: Map<string, number>;
  entries: Map<string, { amount: number; after: number; reason: string | null; metadata: unknown }>;
  balances: Map<string, number>;
}

function generate(count: number): Generated {
  const made: Generated = { lines: [], counters: new Map(), entries: new Map(), balances: new Map() };
  for (let n = 0; n < count; n++) {
    const write = n % 2 === 0 ? escaped : JSON.stringify;
    const odd = ODD_KEYS[(n * 7) % ODD_KEYS.length]!;
    if (n % 5 < 3) {
      const key = n % 3 === 0 ? `/page/${(n * n) % 97}` : odd;
      const counter = n % 4 === 0 ? 'clicks' : 'page_views';
      const by = n % 6 === 0 ? undefined : (n % 11) - 5 || 12;
      made.lines.push(write({ counter, key, by }));
      const counted = JSON.stringify([counter, key]);
      made.counters.set(counted, (made.counters.get(counted) ?? 0) + (by ?? 1));
    } else {
      const account = Buffer.byteLength(odd) <= LIMITS.account ? odd : String(n % 13).padStart(5, '0');
      const before = made.balances.get(account) ?? 0;
      const amount = n % 9 === 0 && before > 3 ? -3 : 1 + (n % 40);
      const id = `№${n}\u0000${n % 2}`;
      const reason = n % 3 === 0 ? 'Kauf\u0000ß 😀' : undefined;
      const metadata = n % 4 === 0 ? { b: [n, null], a: { ключ: '\u0000' } } : undefined;
      made.lines.push(write({ points: 'loyalty', account, amount, id, reason, metadata }));
      made.balances.set(account, before + amount);
      made.entries.set(JSON.stringify([account, id]), {
        amount,
        after: before + amount,
        reason: reason ?? null,
        metadata: metadata ?? null,
      });
    }
  }
  return made;
}

it('two workers write a file to MySQL row by row, and a second run finds duplicates only', async () => {
  const deployment = await openDeployment(definitions);
  const made = generate(6000);
  const file = deployment.file('updates.ndjson', `${made.lines.join('\n')}\n`);
  const workers = await Promise.all([deployment.worker(), deployment.worker()]);
  const first = await deployment.sluice(['ingest', '--json', '--run', 'first', file]);
  expect(first.stderr).toBe('');
  expect(first.code).toBe(0);
  expect(JSON.parse(first.stdout)).toEqual({
    lines: 6000,
    accepted: 6000,
    duplicates: 0,
    rejected: 0,
    nextLine: 6001,
  });
  const again = await deployment.sluice(['ingest', '--json', '--run', 'first', file]);
  expect(JSON.parse(again.stdout)).toMatchObject({ accepted: 0, duplicates: 6000, rejected: 0 });
  expect(await deployment.sluice(['drain', '--json'])).toMatchObject({ code: 0 });

  const counters = await deployment.database.query('SELECT counter, counter_key, value FROM sluice_counters');
  expect(
    new Map(
      counters.map(row => [JSON.stringify([`${row.counter}`, `${row.counter_key}`]), Number(row.value)]),
    ),
  ).toEqual(made.counters);
  const accounts = await deployment.database.query('SELECT account, balance FROM sluice_accounts');
  expect(new Map(accounts.map(row => [String(row.account), Number(row.balance)]))).toEqual(made.balances);
  const entries = await deployment.database.query(
    'SELECT account, entry_id, amount, balance_after, reason, metadata FROM sluice_entries',
  );
  expect(
    new Map(
      entries.map(row => [
        JSON.stringify([`${row.account}`, `${row.entry_id}`]),
        {
          amount: Number(row.amount),
          after: Number(row.balance_after),
          reason: row.reason,
          metadata: typeof row.metadata === 'string' ? JSON.parse(row.metadata) : row.metadata,
        },
      ]),
    ),
  ).toEqual(made.entries);
  expect(await deployment.sluice(['verify', '--json'])).toMatchObject({
    code: 0,
    stdout: `{"checked":${made.counters.size + made.balances.size},"drift":[],"ledger":[],"transfers":[]}\n`,
  });
  for (const worker of workers) worker.child.kill('SIGTERM');
  for (const worker of workers) expect((await worker.ended).code).toBe(0);
});

it('a killed ingest that runs again ends with exact values', async () => {
  const deployment = await openDeployment(definitions);
  const total = 100_000;
  const lines = Array.from({ length: total }, (_, n) => `{"counter":"page_views","key":"k${n % 100}"}`);
  const file = deployment.file('large.ndjson', lines.join('\n'));
  const worker = await deployment.worker();
  const killed = deployment.start(['ingest', '--run', 'monday', file]);
  const inMysql = async () => {
    const [row] = await deployment.database.query(
      'SELECT COALESCE(SUM(value), 0) AS total FROM sluice_counters',
    );
    return Number(row!.total);
  };
  await until(async () => (await inMysql()) > 0, 'the first updates');
  killed.child.kill('SIGKILL');
  expect((await killed.ended).code).toBeNull();

  const again = await deployment.sluice(['ingest', '--json', '--run', 'monday', file]);
  expect(again.code).toBe(0);
  const report = JSON.parse(again.stdout);
  expect(report).toMatchObject({ lines: total, rejected: 0, nextLine: total + 1 });
  expect(report.accepted + report.duplicates).toBe(total);
  expect(report.accepted).toBeGreaterThan(0);
  expect(report.duplicates).toBeGreaterThan(0);
  expect((await deployment.sluice(['drain'])).code).toBe(0);
  expect(await inMysql()).toBe(total);
  const rows = await deployment.database.query('SELECT value FROM sluice_counters WHERE value <> ?', [
    total / 100,
  ]);
  expect(rows).toEqual([]);
  worker.child.kill('SIGTERM');
  await worker.ended;
});

const good = (key: string) => `{"counter":"page_views","key":${JSON.stringify(key)}}`;

it('bad lines are named by number and counted, and their neighbours are accepted', async () => {
  const deployment = await openDeployment(definitions);
  const lines: (string | Buffer)[] = [
    good('a'), // 1
    '{"counter":"page_views"', // 2
    Buffer.from('{"counter":"page_views","key":"\xff"}', 'latin1'), // 3
    '', // 4
    '{"counter":"page_veiws","key":"a"}', // 5
    '{"counter":"page_views","key":"a","by":1.5}', // 6
    '{"points":"loyalty","account":"1","amount":5}', // 7
    `{"counter":"page_views","key":"${'x'.repeat(70_000)}"}`, // 8
    '   \t', // 9
    '[1]', // 10
    'null', // 11
    '{"counter":"page_views","key":"\\ud800"}', // 12
    '{"points":"loyalty","account":"1","amount":-5,"id":"debit"}', // 13
    '{"counter":"page_views","key":"a","by":0}', // 14
    `${good('a')}\r`, // 15
    `{"counter":"page_views","key":"${'y'.repeat(700_000)}"}`, // 16, longer than one read
    '{"counter":"page_views","key":"a","bye":1}', // 17
    good('last'), // 18, without a line end
  ];
  const content = Buffer.concat(
    lines.flatMap((line, at) => [Buffer.from(at === 0 ? '' : '\n'), Buffer.from(line)]),
  );
  const file = deployment.file('bad.ndjson', content);
  const { code, stdout, stderr } = await deployment.sluice(['ingest', '--json', file]);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual({ lines: 18, accepted: 3, duplicates: 0, rejected: 13, nextLine: 19 });
  const named = [...stderr.matchAll(/^sluice: line (\d+): ([A-Z0-9_]+)/gm)].map(
    match => `${match[1]} ${match[2]}`,
  );
  expect(named.toSorted((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))).toEqual([
    '2 NOT_JSON',
    '3 NOT_UTF8',
    '5 UNKNOWN_COUNTER',
    '6 INVALID_AMOUNT',
    '7 MISSING_ID',
    '8 TOO_LONG',
    '10 INVALID_UPDATE',
    '11 INVALID_UPDATE',
    '12 INVALID_KEY',
    '13 INSUFFICIENT_POINTS',
    '14 INVALID_AMOUNT',
    '16 TOO_LONG',
    '17 INVALID_UPDATE',
  ]);
});

it.each([
  ['not JSON', 'oops'],
  ['refused by the check', '{"counter":"page_views","key":""}'],
  ['refused by Redis', '{"points":"loyalty","account":"1","amount":-1,"id":"d"}'],
])('--strict stops at the first line that is %s, after all lines before it', async (_, bad) => {
  const deployment = await openDeployment(definitions);
  // Over a thousand lines come first, so that the bad one is not in the first chunk.
  const lines = Array.from({ length: 1500 }, (_, n) => good(`k${n}`));
  const file = deployment.file('strict.ndjson', [...lines, bad, good('after'), good('after')].join('\n'));
  const { code, stdout } = await deployment.sluice(['ingest', '--strict', '--json', file]);
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toEqual({
    lines: 1501,
    accepted: 1500,
    duplicates: 0,
    rejected: 1,
    nextLine: 1501,
  });
  const status = JSON.parse((await deployment.sluice(['status', '--json'])).stdout);
  expect(
    status.partitions.reduce((sum: number, p: { pendingUpdates: number }) => sum + p.pendingUpdates, 0),
  ).toBe(1500);
});

it('`-` reads standard input as it comes in', async () => {
  const deployment = await openDeployment(definitions);
  const file = deployment.file('in.ndjson', `${[good('a'), good('b'), good('a')].join('\n')}\n`);
  const ingest = deployment.start(['ingest', '-']);
  createReadStream(file, { highWaterMark: 7 }).pipe(ingest.child.stdin!);
  expect(await ingest.ended).toEqual({
    code: 0,
    stdout: '3 lines: 3 accepted, 0 duplicates, 0 rejected; next line 4\n',
    stderr: '',
  });
  expect(JSON.parse((await deployment.sluice(['ingest', '--json', '-'])).stdout)).toEqual({
    lines: 0,
    accepted: 0,
    duplicates: 0,
    rejected: 0,
    nextLine: 1,
  });
});

it('lines of transfers are written once, also by a second run', async () => {
  const deployment = await openDeployment(definitions);
  const accounts = Array.from({ length: 20 }, (_, n) => `t${n}`);
  const balances = new Map(accounts.map(account => [account, 1000]));
  const lines = accounts.map(account => ({ points: 'loyalty', account, amount: 1000 }) as object);
  const transfers = 600;
  for (let n = 0; n < transfers; n++) {
    const from = accounts[n % 20]!;
    const to = accounts[(n * 7 + 3 + (n % 19)) % 20]!;
    if (from === to) continue;
    const amount = 1 + (n % 9);
    balances.set(from, balances.get(from)! - amount);
    balances.set(to, balances.get(to)! + amount);
    // Every other one has an id of its own.
    lines.push({ points: 'loyalty', from, to, amount, ...(n % 2 === 0 ? {} : { id: `gift-${n}` }) });
  }
  // More than the account has.
  lines.push({ points: 'loyalty', from: 't0', to: 't1', amount: 1_000_000 });
  const file = deployment.file('transfers.ndjson', lines.map(line => `${JSON.stringify(line)}\n`).join(''));
  const run = () => deployment.sluice(['ingest', '--json', '--run', 'gifts', file]);
  const settled = lines.length - 1;
  const first = await run();
  expect(first.stderr).toContain(`line ${lines.length}: INSUFFICIENT_POINTS`);
  expect(JSON.parse(first.stdout)).toMatchObject({ accepted: settled, duplicates: 0, rejected: 1 });
  await deployment.worker();
  expect(JSON.parse((await run()).stdout)).toMatchObject({ accepted: 0, duplicates: settled, rejected: 1 });
  expect(await deployment.sluice(['drain', '--json'])).toMatchObject({
    code: 0,
    stdout: '{"drained":true,"left":0,"inTransit":0,"aside":0}\n',
  });
  const rows = await deployment.database.query('SELECT account, balance FROM sluice_accounts');
  expect(new Map(rows.map(row => [String(row.account), Number(row.balance)]))).toEqual(balances);
  const [counted] = await deployment.database.query(
    "SELECT COUNT(DISTINCT transfer) AS transfers, SUM(transfer IS NOT NULL) AS halves, SUM(IF(transfer IS NULL, 0, amount)) AS sum FROM sluice_entries WHERE program = 'loyalty'",
  );
  const made = settled - accounts.length;
  expect([counted!.transfers, counted!.halves, counted!.sum].map(Number)).toEqual([made, 2 * made, 0]);
  expect((await deployment.sluice(['verify', '--json'])).code).toBe(0);
});
