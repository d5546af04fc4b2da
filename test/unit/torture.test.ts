// The parts of the torture that judge: what the journal says about an update, which differences the checker
// finds and which of them are declared, the command line and the report.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { check } from '../../scripts/torture/checker.ts';
import { faultsOf } from '../../scripts/torture/faults/catalogue.ts';
import { excess, type Footprint } from '../../scripts/torture/footprint.ts';
import type { Holdings } from '../../scripts/torture/holdings.ts';
import { Journal, knownOf, readJournal } from '../../scripts/torture/journal.ts';
import { parseOptions } from '../../scripts/torture/options.ts';
import { RedisProxies } from '../../scripts/torture/redis-proxies.ts';
import { isFailure, jsonOf, type Outcome, writeReport } from '../../scripts/torture/report.ts';
import { Keys } from '../../src/shared/redis/keys.ts';
import { readScript } from '../../src/shared/redis/read-script.ts';
import type { SummedUpdate } from '../../src/shared/updates/update.ts';
import { until } from '../support/engine.ts';
import { temporaryFolder } from '../support/servers.ts';

const keys = new Keys('torture', 8);
const view: SummedUpdate = { counter: 'views', key: 'k' };
const entry = (id: string, amount = 5): SummedUpdate => ({ points: 'loyalty', account: 'a', amount, id });

async function openJournal() {
  const path = join(await temporaryFolder(), 'journal');
  return { journal: new Journal(path), path, read: () => readJournal(path) };
}

/** Two acknowledged views, an unknown one, and an entry of each outcome. */
async function someUpdates() {
  const { journal, read } = await openJournal();
  const ask = (update: SummedUpdate) => journal.ask([update])[0]!;
  journal.acknowledged(ask(view));
  journal.acknowledged(ask(view));
  journal.failed(ask(view), 'UNKNOWN_OUTCOME');
  journal.acknowledged(ask(entry('kept')));
  journal.failed(ask(entry('refused')), 'INSUFFICIENT_POINTS');
  ask(entry('unknown'));
  return read();
}

const held = (id: string, amount = 5, balanceAfter = 5) => ({
  program: 'loyalty',
  account: 'a',
  id,
  amount,
  balanceAfter,
  ...{ transfer: null, other: null },
});

function holdings(changes: Partial<Holdings> = {}): Holdings {
  return {
    counters: new Map([['views k', 2]]),
    balances: new Map([['loyalty a', 5]]),
    values: new Map(),
    entries: [held('kept')],
    losses: [],
    inTransit: new Map(),
    holds: [],
    ...changes,
  };
}

it('the journal knows what the client knows, after errors, retries and a kill', async () => {
  const { journal, path, read } = await openJournal();
  const [acknowledged, refused, unknown, again, againRefused, killed] = journal.ask(
    ['a', 'b', 'c', 'd', 'e', 'f'].map(id => entry(id)),
  );
  journal.acknowledged(acknowledged!);
  journal.askAgain(acknowledged!);
  journal.failed(acknowledged!, 'UNKNOWN_OUTCOME');
  expect(journal.failed(refused!, 'REDIS_UNAVAILABLE')).toBe(true);
  expect(journal.failed(unknown!, 'UNKNOWN_OUTCOME')).toBe(false);
  journal.failed(again!, 'UNKNOWN_OUTCOME');
  journal.askAgain(again!);
  journal.acknowledged(again!);
  journal.failed(againRefused!, 'UNKNOWN_OUTCOME');
  journal.askAgain(againRefused!);
  journal.failed(againRefused!, 'INSUFFICIENT_POINTS');
  journal.failed(killed!, 'REDIS_UNAVAILABLE');
  journal.askAgain(killed!);
  appendFileSync(path, 'i 6 p loyalty a');
  expect(read().map(update => [update.id, knownOf(update)])).toEqual([
    ['a', 'acknowledged'],
    ['b', 'refused'],
    ['c', 'unknown'],
    ['d', 'acknowledged'],
    ['e', 'unknown'],
    ['f', 'unknown'],
  ]);
});

it('the checker accepts an unknown update whether it was written or not', async () => {
  const updates = await someUpdates();
  const both = holdings({
    counters: new Map([['views k', 3]]),
    balances: new Map([['loyalty a', 10]]),
    entries: [held('kept'), held('unknown', 5, 10)],
  });
  for (const found of [holdings(), both]) {
    const verdict = check(updates, found, keys);
    expect(verdict).toMatchObject({
      acknowledged: 3,
      unknown: 2,
      refused: 1,
      lost: 0,
      doubled: 0,
      declared: 0,
    });
    expect(verdict.problems).toEqual([]);
  }
  // A quarantined update is not lost.
  const quarantined = { ...held('kept'), balanceAfter: undefined };
  const inQuarantine = holdings({ entries: [quarantined], balances: new Map() });
  expect(check(updates, inQuarantine, keys)).toMatchObject({ lost: 0, doubled: 0, problems: [] });
});

const balances = (balance: number) => new Map([['loyalty a', balance]]);
const cases: [string, Partial<Holdings>, { lost: number; doubled: number }][] = [
  ['a lost increment', { counters: new Map([['views k', 1]]) }, { lost: 1, doubled: 0 }],
  ['a lost key', { counters: new Map() }, { lost: 2, doubled: 0 }],
  ['an extra increment', { counters: new Map([['views k', 4]]) }, { lost: 0, doubled: 1 }],
  ['a lost entry', { entries: [], balances: new Map() }, { lost: 1, doubled: 0 }],
  [
    'an entry twice',
    { entries: [held('kept'), held('kept', 5, 10)], balances: balances(10) },
    { lost: 0, doubled: 1 },
  ],
  [
    'a refused entry',
    { entries: [held('kept'), held('refused', 5, 10)], balances: balances(10) },
    { lost: 0, doubled: 1 },
  ],
  [
    'an entry that nobody sent',
    { entries: [held('kept'), held('nobody', 5, 10)], balances: balances(10) },
    { lost: 0, doubled: 1 },
  ],
  ['another amount', { entries: [held('kept', 6, 6)], balances: balances(6) }, { lost: 0, doubled: 1 }],
];

it.each(cases)('the checker finds %s, unless the partition has declared it', async (_, changes, expected) => {
  const updates = await someUpdates();
  expect(check(updates, holdings(changes), keys)).toMatchObject({ ...expected, declared: 0 });
  const kind = expected.lost > 0 ? 'lost' : 'doubled';
  const total = expected.lost + expected.doubled;
  const partition = keys.partitionOf(changes.counters ? 'k' : 'a');
  const declared = (loss: Holdings['losses'][number]) =>
    check(updates, holdings({ ...changes, losses: [loss] }), keys);
  expect(declared({ partition, kind, updates: total })).toMatchObject({
    lost: 0,
    doubled: 0,
    declared: total,
  });
  const elsewhere = declared({ partition: (partition + 1) % 8, kind, updates: total });
  expect(elsewhere).toMatchObject({ ...expected, declared: 0 });
  const otherKind = kind === 'lost' ? 'doubled' : 'lost';
  expect(declared({ partition, kind: otherKind, updates: total })).toMatchObject({
    ...expected,
    declared: 0,
  });
});

describe('values of which one put is kept', () => {
  /** Puts of a key: a number, and how its call ended. */
  async function puts(name: string, ...asked: [number, string][]) {
    const { journal, read } = await openJournal();
    for (const [is, end] of asked) {
      const [number] = journal.ask([{ value: name, key: 'k', is }]);
      if (end === 'repeated') journal.acknowledged(number!);
      if (end === 'repeated') journal.askAgain(number!);
      if (end === 'acknowledged') journal.acknowledged(number!);
      if (end === 'refused') journal.failed(number!, 'REDIS_UNAVAILABLE');
      if (end === 'unknown') journal.failed(number!, 'UNKNOWN_OUTCOME');
    }
    const updates = read();
    return (value: number | undefined, losses: Holdings['losses'] = []) => {
      const values = new Map(value === undefined ? [] : [[`${name} k`, value]]);
      const none = { counters: new Map(), balances: new Map(), entries: [] };
      const { lost, doubled, declared } = check(updates, holdings({ ...none, values, losses }), keys);
      return lost ? 'lost' : doubled ? 'doubled' : declared ? 'declared' : 'right';
    };
  }

  it('the greatest and the least are between what was acknowledged and what was sent', async () => {
    const best = await puts(
      'best',
      [5, 'acknowledged'],
      [9, 'unknown'],
      [3, 'acknowledged'],
      [12, 'refused'],
    );
    expect([5, 9].map(value => best(value))).toEqual(['right', 'right']);
    expect([3, undefined].map(value => best(value))).toEqual(['lost', 'lost']);
    expect([7, 12].map(value => best(value))).toEqual(['doubled', 'doubled']);
    const least = await puts('least', [5, 'acknowledged'], [9, 'acknowledged'], [3, 'unknown']);
    expect([5, 3, 9].map(value => least(value))).toEqual(['right', 'right', 'lost']);
  });

  it('the last is not older than the last acknowledged, unless nobody knows when it was put', async () => {
    const last = await puts(
      'seen',
      [8, 'acknowledged'],
      [6, 'unknown'],
      [7, 'repeated'],
      [5, 'acknowledged'],
      [4, 'unknown'],
      [3, 'refused'],
    );
    expect([5, 4, 6, 7].map(value => last(value))).toEqual(['right', 'right', 'right', 'right']);
    expect([8, undefined].map(value => last(value))).toEqual(['lost', 'lost']);
    expect([3, 2].map(value => last(value))).toEqual(['doubled', 'doubled']);
    const partition = keys.partitionOf('k');
    expect(last(8, [{ partition, kind: 'lost', updates: 1 }])).toBe('declared');
    expect(last(8, [{ partition: (partition + 1) % 8, kind: 'lost', updates: 1 }])).toBe('lost');
  });

  it('nothing is wrong with keys of which all puts are unknown or refused', async () => {
    const seen = await puts('seen', [1, 'unknown'], [2, 'refused']);
    expect([undefined, 1, 2].map(value => seen(value))).toEqual(['right', 'right', 'doubled']);
  });
});

it('the checker finds a wrong balance and a debit below the floor', async () => {
  const { journal, read } = await openJournal();
  for (const number of journal.ask([entry('in'), entry('out', -9)])) journal.acknowledged(number);
  const entries = [held('in'), held('out', -9, -4)];
  const below = check(read(), { ...holdings(), counters: new Map(), entries, balances: balances(-4) }, keys);
  expect(below.problems).toEqual(['entry out took loyalty a to -4, below its floor of 0']);
  const other = check(read(), { ...holdings(), counters: new Map(), entries: [held('in')] }, keys);
  expect(other.problems).toEqual([]);
  const wrong = check(read(), { ...holdings(), entries: [held('in')], balances: balances(6) }, keys);
  expect(wrong.problems).toEqual(['balance of loyalty a is 6, its entries add up to 5']);
});

it('six consecutive seeds give the six combinations', () => {
  const chosen = [4, 5, 6, 7, 8, 9].map(seed => {
    const { topology, database } = parseOptions(['--seed', String(seed)]);
    return `${topology} ${database}`;
  });
  expect(new Set(chosen).size).toBe(6);
  expect(parseOptions(['--seed', '1', '--topology', 'cluster', '--database', 'mariadb'])).toMatchObject({
    topology: 'cluster',
    database: 'mariadb',
    seed: 1,
  });
  const only = parseOptions(['--topology', 'cluster', '--kinds', 'redisStop,clusterFailover']);
  expect(only.kinds).toEqual(['redisStop', 'clusterFailover']);
  for (const wrong of [
    ['--topology', 'ring'],
    ['--minutes', 'x'],
    ['--seed', '-1'],
    ['--fault', '3'],
    ['--kinds', 'redisRestart,earthquake'],
    ['--topology', 'cluster', '--kinds', 'redisRestart'],
    ['5'],
  ]) {
    expect(() => parseOptions(wrong), wrong.join(' ')).toThrow();
  }
});

it('all topologies share the faults of Redis, except those that only one of them has', () => {
  const special = [['redisRestart'], ['sentinelFailover'], ['clusterFailover', 'clusterMigration']];
  const topologies = ['standalone', 'sentinel', 'cluster'] as const;
  const kinds = topologies.map(topology => faultsOf(topology, 'mariadb').map(({ kind }) => kind));
  const common = kinds.map((list, index) => list.filter(kind => !special[index]!.includes(kind)));
  expect(common[1]).toEqual(common[0]);
  expect(common[2]).toEqual(common[0]);
  for (const kind of ['redisStop', 'cutBeforeEvalsha', 'cutAfterEvalsha', 'redisDelay'])
    expect(common[0]).toContain(kind);
});

it('the proxy tells producers from workers by the scripts that a connection runs', async () => {
  const received: string[] = [];
  const server = createServer(socket => socket.on('data', data => received.push(String(data))));
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const proxies = new RedisProxies();
  const port = await proxies.announce((server.address() as AddressInfo).port);
  expect(await proxies.announce((server.address() as AddressInfo).port)).toBe(port);
  const lua = readScript(new URL('../../src/producer/apply.lua', import.meta.url));
  const apply = createHash('sha1').update(lua).digest('hex');
  const [producer, worker, replica] = await Promise.all(
    [`evalsha ${apply}`, 'evalsha other', 'REPLCONF'].map(async first => {
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'connect');
      socket.write(first);
      await until(() => received.includes(first), first);
      return socket;
    }),
  );
  const cut = proxies.producers.cutNext('evalsha', 'before', 0, 5000);
  for (const socket of [replica!, worker!, producer!]) socket.write('evalsha again');
  const closed = once(producer!, 'close');
  expect(await cut).toBe(true);
  await closed;
  expect([worker!.destroyed, replica!.destroyed]).toEqual([false, false]);
  for (const socket of [worker!, replica!]) socket.destroy();
  await proxies.close();
  server.close();
});

it('the report is JSON and one section per pair of servers', async () => {
  const outcome = (topology: 'standalone' | 'cluster', seed: number, ...more: string[]): Outcome => ({
    options: parseOptions([
      ...['--seed', String(seed), '--topology', topology, '--database', 'mariadb'],
      ...more,
    ]),
    commit: 'abc1234',
    servers: { redis: 'redis7 (7.0.15)', database: 'mariadb (10.11)' },
    minutes: 3,
    recoveries: new Map([
      ['workerKill', [0.5, 6, 1]],
      ['deadlock', [0.25]],
    ]),
    verdict: check([], holdings({ counters: new Map(), balances: new Map(), entries: [] }), keys),
    acknowledgedOverHttp: 7,
    problems: [],
  });
  expect(JSON.stringify(jsonOf(outcome('standalone', 1)))).toBe(
    '{"faults":{"deadlock":1,"workerKill":3},"acknowledged":0,"acknowledgedOverHttp":7,"lost":0,"doubled":0,"declared":0,' +
      '"recoverySeconds":{"deadlock":{"p50":0.25,"max":0.25},"workerKill":{"p50":1,"max":6}}}',
  );
  expect(isFailure(outcome('standalone', 1))).toBe(false);
  expect(isFailure({ ...outcome('standalone', 1), problems: ['x'] })).toBe(true);
  const file = join(await temporaryFolder(), 'report.md');
  for (const [topology, seed] of [
    ['standalone', 1],
    ['cluster', 2],
    ['standalone', 3],
  ] as const) {
    writeReport(file, outcome(topology, seed));
  }
  const text = readFileSync(file, 'utf8');
  expect(text.match(/^## .*/gm)).toEqual(['## cluster, mariadb', '## standalone, mariadb']);
  expect(text.match(/seed \d/g)).toEqual(['seed 2', 'seed 3']);
  expect(text).toContain('| workerKill | 3 | 1.00 | 6.00 (promised: 5) |');

  // A run of some kinds has a section of its own, which the next run of all kinds removes.
  const headings = () => readFileSync(file, 'utf8').match(/^## standalone.*/gm);
  const some = ['--kinds', 'workerKill,deadlock'];
  for (const seed of [4, 5]) writeReport(file, outcome('standalone', seed, ...some));
  expect(headings()).toEqual(['## standalone, mariadb', '## standalone, mariadb: deadlock, workerKill']);
  expect(readFileSync(file, 'utf8')).toContain('seed 5, commit abc1234, on');
  writeReport(file, outcome('standalone', 6));
  expect(headings()).toEqual(['## standalone, mariadb']);
});

it('a process that is larger after an outage than before is reported', () => {
  const quiet: Footprint = { role: 'worker', megabytes: 40, connections: { redis: 2, mysql: 4 } };
  const found = (changes: Partial<Footprint>) => excess({ ...quiet, ...changes }, quiet, 'memory');
  expect(found({ megabytes: 59 })).toEqual([]);
  expect(found({ megabytes: 61 })).toEqual(['61 MB in use, 40 before, 60 at most']);
  // A pool of connections to MySQL may grow up to its limit.
  expect(found({ connections: { redis: 2, mysql: 14 } })).toEqual([]);
  expect(found({ connections: { redis: 3, mysql: 15 } })).toEqual([
    '3 connections to Redis, 2 before, 2 at most',
    '15 connections to MySQL, 4 before, 14 at most',
  ]);
  expect(excess({ ...quiet, connections: { redis: 10, mysql: 4 } }, quiet, 'replica')).toEqual([]);
});
