// Ranks on a Cluster: the partitions are on several masters, so each answer takes several calls. While a slot
// moves, an update is refused before it changes its value or its score.

import { expect, it } from 'vitest';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { openEngine, until } from '../support/engine.ts';
import { ranked, ready, scoresOf, views } from '../support/ranks.ts';
import { ownCluster } from '../support/servers.ts';
import { openMove } from '../support/slots.ts';

it('a Cluster answers as one server does', async () => {
  const { servers } = await ownCluster();
  const engine = await openEngine({ partitions: 5 }, servers);
  const counter = (await engine.producer({}, { definitions: ranked })).counter('views');
  for (let at = 0; at < 40; at++) await counter.increment(`k${at}`, (at % 7) + 1);
  await ready(engine, views);
  const { board } = counter;
  for (let at = 0; at < 40; at += 3) await counter.increment(`k${at}`, 2);
  const values = await scoresOf(engine, views);
  const rankOf = (value: number) => 1 + [...values.values()].filter(other => other > value).length;
  const whole = (await board.top(100)).members;
  expect(new Map(whole.map(({ key, value }) => [key, value]))).toEqual(values);
  for (const { rank, value } of whole) expect(rank).toBe(rankOf(value));
  const first = await board.top(13);
  const second = await board.top(100, { after: first.after! });
  expect([...first.members, ...second.members]).toEqual(whole);
  for (const [at, { key }] of whole.entries())
    expect((await board.around(key, 4)).members).toEqual(whole.slice(Math.max(0, at - 4), at + 5));
  const keys = [...values.keys(), 'nobody'];
  expect((await board.ranks(keys)).ranks).toEqual(
    keys.map(key => {
      const value = values.get(key);
      return { key, value: value ?? null, rank: value === undefined ? null : rankOf(value) };
    }),
  );
  const { key, value } = whole[10]!;
  const lower = [...values.values()].filter(other => other < value).length;
  expect(await board.percentile(key)).toEqual({ exact: true, size: 40, percentile: (100 * lower) / 39 });
  expect((await board.around('nobody', 4)).members).toEqual([]);
});

it('a worker builds the board on a Cluster', async () => {
  const { servers } = await ownCluster();
  const engine = await openEngine({ partitions: 3 }, servers);
  const counter = (await engine.producer({}, { definitions: ranked })).counter('views');
  for (let at = 0; at < 20; at++) await counter.increment(`k${at}`);
  await engine.worker({}, {}, { definitions: parseDefinitions(ranked) });
  const size = () => counter.board.size().catch(() => undefined);
  await until(async () => (await size())?.exact === true, 'the ranks');
  expect(await size()).toEqual({ exact: true, size: 20 });
});

it('while the slot moves, an update changes value and score or neither', async () => {
  const { cluster, servers } = await ownCluster();
  const engine = await openEngine({ partitions: 1 }, servers);
  const counter = (await engine.producer({}, { definitions: ranked })).counter('views');
  for (let at = 0; at < 20; at++) await counter.increment(`k${at}`);
  await ready(engine, views);
  const move = await openMove(cluster, engine.keys.state(0));
  await move.begin();
  // The keys that every script declares are all still there; only the board has moved.
  await move.migrate(engine.keys.ofBoard(0, 'ranks:<board>', 'cviews'));
  const refused: unknown[] = [];
  for (let at = 0; at < 5; at++) await counter.increment(`k${at}`).catch(error => refused.push(error));
  for (const error of refused) expect(error).toMatchObject({ retryable: true });
  expect(refused.length).toBeGreaterThan(0);
  await move.finish();
  await engine.drain();
  const [row] = await engine.database.query('SELECT SUM(value) AS total FROM sluice_counters');
  const { board } = counter;
  await until(async () => (await board.size().catch(() => undefined)) !== undefined, 'the moved slot');
  const { members } = await board.top(100);
  const sum = members.reduce((total, { value }) => total + value, 0);
  expect(sum).toBe(Number(row!.total));
  expect((await board.size()).exact).toBe(true);
});
