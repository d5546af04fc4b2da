// `sluice holds`, `sluice ingest` with holds, and what docs/holds.md shows, typed as it stands there.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { createProducer } from '../../src/producer/producer.ts';
import { openDeployment } from '../support/command.ts';
import { until } from '../support/engine.ts';
import { holdRows } from '../support/holds.ts';

const page = readFileSync(new URL('../../docs/holds.md', import.meta.url), 'utf8');
const definitions = { points: { loyalty: { floor: 0 }, credits: {} } } as const;
const points = (account: string, more: object) => ({ points: 'loyalty', account, ...more });

async function openShop() {
  const deployment = await openDeployment(definitions);
  return {
    ...deployment,
    ingest: (updates: readonly object[], ...args: string[]) =>
      deployment.sluice(
        [
          'ingest',
          deployment.file('updates.ndjson', updates.map(one => JSON.stringify(one)).join('\n')),
          ...args,
        ],
        {},
      ),
    holds: (...args: string[]) => deployment.sluice(['holds', ...args]),
    /** The holds of a page, by their ids, and where the next one begins. */
    async list(...args: string[]) {
      const { code, stdout } = await deployment.sluice(['holds', 'list', '--json', ...args]);
      expect(code).toBe(0);
      const { holds, next }: { holds: { id: string; status: string }[]; next: string | null } =
        JSON.parse(stdout);
      return { ids: holds.map(({ id, status }) => `${id} ${status}`), holds, next };
    },
    free: (account: string, id: string, ...args: string[]) =>
      deployment.sluice([
        ...['holds', 'void', '--program', 'loyalty', '--account', account, '--id', id],
        ...['--reason', 'order was deleted', '--operator', 'olga', ...args],
      ]),
    audit: async (operation: number) =>
      JSON.parse((await deployment.sluice(['failed', 'audit', String(operation), '--json'])).stdout),
  };
}

it('ingest takes holds, posts and voids, in order, and a second run finds duplicates only', async () => {
  const shop = await openShop();
  await shop.worker();
  const lines = [
    points('alice', { amount: 100, id: 'start' }),
    points('alice', { hold: 50, expiresInMs: 600_000 }),
    points('alice', { post: 'night:2', amount: 30, reason: 'shipped' }),
    points('alice', { hold: 70, id: 'all' }),
    points('alice', { amount: -1, id: 'too much' }),
    points('alice', { void: 'all' }),
    points('alice', { hold: 1, id: 'late', expiresInMs: 1 }),
    points('alice', { hold: 5, id: 'wrong', amount: 5 }),
  ];
  const report = { lines: 8, accepted: 6, duplicates: 0, rejected: 2 };
  const first = await shop.ingest(lines, '--run', 'night', '--json');
  expect(JSON.parse(first.stdout)).toMatchObject(report);
  expect(first.stderr).toContain('line 5: INSUFFICIENT_POINTS');
  expect(first.stderr).toContain('line 8: INVALID_UPDATE');
  await until(
    async () => (await holdRows(shop, 'alice')).late?.status === 'expired',
    'a worker to end the hold whose time is over',
  );
  const again = await shop.ingest(lines.toSpliced(4, 1, points('alice', {})), '--run', 'night', '--json');
  expect(JSON.parse(again.stdout)).toMatchObject({ ...report, accepted: 0, duplicates: 6 });
  await shop.sluice(['drain']);
  expect(await holdRows(shop, 'alice')).toEqual({
    'night:2': { amount: 50, status: 'posted', posted: 30 },
    all: { amount: 70, status: 'voided', posted: 0 },
    late: { amount: 1, status: 'expired', posted: 0 },
  });
});

it('list shows holds by filter, page by page, and those that nobody has ended in time', async () => {
  const shop = await openShop();
  expect((await shop.holds('list')).stdout).toBe('no holds\n');
  const worker = await shop.worker();
  const some = ['a', 'b'].flatMap(account => [
    points(account, { amount: 100, id: 'start' }),
    ...[1, 2, 3].map(n => points(account, { hold: n, id: `${account}${n}` })),
    points(account, { post: `${account}1` }),
    points(account, { void: `${account}2` }),
  ]);
  const other = { points: 'credits', account: 'a', hold: 1, id: 'c', expiresInMs: 3_600_000 };
  expect(
    (
      await shop.ingest([
        ...some,
        { ...other, amount: 5, id: 's', hold: undefined, expiresInMs: undefined },
        other,
      ])
    ).code,
  ).toBe(0);
  await shop.sluice(['drain']);
  worker.child.kill('SIGKILL');
  await worker.ended;
  const all = ['c open', 'a1 posted', 'a2 voided', 'a3 open', 'b1 posted', 'b2 voided', 'b3 open'];
  expect((await shop.list()).ids).toEqual(all);
  const pages: string[] = [];
  for (let after: string[] = []; ; ) {
    const { ids, next } = await shop.list('--limit', '2', ...after);
    expect(ids.length).toBe(next === null ? 1 : 2);
    pages.push(...ids);
    if (next === null) break;
    after = ['--after', next];
  }
  expect(pages).toEqual(all);
  expect((await shop.list('--program', 'loyalty', '--account', 'b')).ids).toEqual(all.slice(4));
  expect((await shop.list('--status', 'open')).ids).toEqual(['c open', 'a3 open', 'b3 open']);
  const { holds } = await shop.list('--program', 'loyalty', '--status', 'posted', '--limit', '1');
  expect(holds).toEqual([
    {
      program: 'loyalty',
      account: 'a',
      id: 'a1',
      amount: 1,
      status: 'posted',
      posted: 1,
      expiresAt: null,
      createdAt: expect.any(String),
      endedAt: expect.any(String),
    },
  ]);
  expect((await shop.list('--expired-for', '0')).ids).toEqual([]);
  await shop.database.query(
    "UPDATE sluice_holds SET expires_at = UTC_TIMESTAMP(3) - INTERVAL 90 SECOND WHERE hold_id = 'c'",
  );
  expect((await shop.list('--expired-for', '60')).ids).toEqual(['c open']);
  expect((await shop.list('--expired-for', '600')).ids).toEqual([]);
  const { stdout } = await shop.holds('list', '--limit', '1');
  expect(stdout).toMatch(
    /^program +account +hold .*\n-[- ]+\ncredits +"a" +"c" +1 +open +0 .*\nfor the next page: --after \S+\n$/,
  );
  for (const wrong of [
    ['--status', 'closed'],
    ['--after', 'x'],
    ['--limit', 'x'],
    ['--expired-for', '-1'],
    ['--expired-for', '1', '--status', 'posted'],
  ])
    expect(await shop.holds('list', ...wrong), wrong.join(' ')).toMatchObject({ code: 2 });
});

it('void ends a hold once, and the audit record says who did it', async () => {
  const shop = await openShop();
  await shop.worker();
  await shop.ingest([
    points('a', { amount: 100, id: 'start' }),
    points('a', { hold: 40, id: 'lost' }),
    points('a', { hold: 10, id: 'shipped' }),
    points('a', { post: 'shipped' }),
  ]);
  const done = await shop.free('a', 'lost');
  expect(done).toMatchObject({ code: 0, stderr: '' });
  expect(done.stdout).toBe(
    'operation 1 (void) finished: the hold "lost" of "a" is voided, and its 40 points are free\n',
  );
  const hold = { program: 'loyalty', account: 'a', id: 'lost' };
  expect(JSON.parse((await shop.free('a', 'lost', '--json')).stdout)).toEqual({
    ...{ operation: 2, action: 'void', hold, outcome: 'already', amount: 40 },
  });
  const posted = await shop.free('a', 'shipped');
  expect(posted).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('is not voided: refused:HOLD_ENDED'),
  });
  expect(posted.stderr).toContain('posted with 10 points');
  expect(await shop.free('a', 'none')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('UNKNOWN_HOLD'),
  });
  await shop.sluice(['drain']);
  expect(await holdRows(shop, 'a')).toMatchObject({
    lost: { status: 'voided' },
    shipped: { status: 'posted' },
  });
  expect(await shop.audit(1)).toMatchObject({
    ...{ action: 'void', operator: 'olga', reason: 'order was deleted', hold, outcomes: { voided: 1 } },
    finishedAt: expect.any(String),
  });
  expect((await shop.audit(3)).outcomes).toEqual({ 'refused:HOLD_ENDED': 1 });
  const shown = (await shop.sluice(['failed', 'audit', '1'])).stdout;
  expect(shown).toMatch(/^hold +\{"program":"loyalty","account":"a","id":"lost"\}$/m);
  expect(shown).toMatch(/^holds +1 voided$/m);
  expect((await shop.sluice(['failed', 'audit'])).stdout).toContain('"id":"lost"');
  expect(
    await shop.sluice(['holds', 'void', '--program', 'loyalty', '--account', 'a', '--id', 'x']),
  ).toMatchObject({
    code: 2,
  });
  expect(await shop.free('a', '\0x')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('INVALID_ID'),
  });
  expect((await shop.sluice(['failed', 'audit', '5'])).code).not.toBe(0);
});

it('failed names the hold of a post that MySQL refuses, and does not edit it', async () => {
  const shop = await openShop();
  await shop.worker();
  await shop.database.query(
    "CREATE TRIGGER refuse BEFORE INSERT ON sluice_entries FOR EACH ROW IF NEW.amount = -30 THEN SIGNAL SQLSTATE '45000'; END IF",
  );
  await shop.ingest([
    points('a', { amount: 100, id: 'start' }),
    points('a', { hold: 50, id: 'order-7' }),
    points('a', { post: 'order-7', amount: 30 }),
  ]);
  await shop.sluice(['drain']);
  expect((await shop.sluice(['failed', 'list'])).stdout).toMatch(
    /post of hold(?:.*\n)+.*"order-7" +-30 +refused/,
  );
  const { stdout } = await shop.sluice(['failed', 'show', '1']);
  expect(stdout).toMatch(/^post of hold +"order-7"$/m);
  expect(stdout).not.toContain('u0000');
  const { updates } = JSON.parse((await shop.sluice(['failed', 'list', '--json'])).stdout);
  expect(updates).toMatchObject([{ hold: 'order-7', amount: -30 }]);
  for (const change of ['{"amount":-20}', '{"reason":"x"}'])
    expect((await shop.sluice(['failed', 'replay', '1', '--edit', change])).stdout).toContain(
      '1 refused:POST_NOT_EDITABLE',
    );
  expect((await shop.sluice(['failed', 'drop', '1', '--reason', 'test'])).stdout).toContain('1 dropped');
  expect(await holdRows(shop, 'a')).toEqual({ 'order-7': { amount: 50, status: 'posted', posted: 30 } });
  expect(await shop.sluice(['verify'])).toMatchObject({ code: 0 });
});

const block = (language: string) =>
  new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``).exec(page)![1]!.trim().split('\n');

it('each example of docs/holds.md does what it says', async () => {
  const shop = await openShop();
  await shop.worker();
  const settings = { partitions: 4 };
  const sluice = await createProducer({
    ...{
      redis: shop.env.REDIS_URL!,
      mysql: shop.env.MYSQL_URL!,
      definitions,
      namespace: shop.name,
      settings,
    },
  });
  try {
    const loyalty = sluice.points('loyalty');
    for (const line of block('ts').slice(1)) {
      const [code = '', expected] = line.split('; // ');
      const answer = new Function('loyalty', `return ${code.replace(/^await |;$/g, '')}`)(loyalty);
      if (expected === undefined) await answer;
      else if (expected.startsWith('{'))
        expect(await answer, line).toMatchObject(new Function(`return (${expected})`)());
      else await expect(answer, line).rejects.toMatchObject({ code: expected });
    }
  } finally {
    await sluice.close();
  }
  const lines = block('json').map(line => JSON.parse(line));
  expect((await shop.ingest(lines)).stdout).toContain(`${lines.length} accepted`);
  await shop.sluice(['drain']);
  for (const line of block('sh')) {
    const args = line
      .replace(/^sluice /, '')
      .match(/'[^']*'|\S+/g)!
      .map(word => word.replace(/^'|'$/g, ''));
    expect(await shop.sluice(args), line).toMatchObject({ code: 0, stderr: '' });
  }
  await shop.sluice(['drain']);
  expect((await holdRows(shop, 'alice'))['order-10']).toEqual({ amount: 7, status: 'voided', posted: 0 });
});
