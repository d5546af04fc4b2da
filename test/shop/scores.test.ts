// Best scores and the leaderboard of the example shop: pages that go on while others climb.

import { expect, it } from 'vitest';
import { until } from '../support/engine.ts';
import { openShop } from '../support/shop.ts';

it('the leaderboard has ranks, pages and neighbours', async () => {
  const shop = await openShop();
  await shop.worker();
  const { call } = await shop.api();
  const put = async (player: string, score: unknown) =>
    (await call('POST', `/players/${player}/scores`, { score })).status;
  for (const [player, score] of [
    ['u1', 9001],
    ['u2', 7],
    ['u1', 12],
  ] as const)
    expect(await put(player, score)).toBe(204);
  await until(async () => (await call('GET', '/leaderboard')).status === 200, 'a worker to build the ranks');
  await until(async () => (await call('GET', '/leaderboard')).body.exact, 'the ranks to be exact');
  const players = [
    { rank: 1, player: 'u1', best: 9001 },
    { rank: 2, player: 'u2', best: 7 },
  ];
  expect((await call('GET', '/leaderboard?count=3')).body).toEqual({ exact: true, size: 2, players });
  const { body: player } = await call('GET', '/players/u2');
  expect(player).toMatchObject({ best: 7, rank: 2, exact: true });
  expect(Math.abs(Date.parse(player.lastSeen) - Date.now())).toBeLessThan(60_000);
  // A player may have the name of a user's id, and no login is known of that user.
  await shop.sluice(['drain']);
  const logins = "SELECT COUNT(*) AS count FROM sluice_values WHERE name = 'last_seen'";
  expect(Number((await shop.database.query(logins))[0]!.count)).toBe(0);
  expect((await call('GET', '/players/nobody')).body).toMatchObject({
    best: null,
    rank: null,
    lastSeen: null,
  });

  // Pages: new players on top move nobody from one page to the next.
  for (let at = 1; at <= 8; at++) await put(`p${at}`, 1000 - at);
  const seen: string[] = [];
  for (let page: string | undefined = ''; page !== undefined; ) {
    const { body } = await call('GET', `/leaderboard?count=3${page}`);
    seen.push(...body.players.map((one: { player: string }) => one.player));
    page = body.next && `&page=${encodeURIComponent(body.next)}`;
    await put(`late${seen.length}`, 10_000 + seen.length);
  }
  expect(seen).toEqual(['u1', 'p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'p7', 'p8', 'u2']);

  const { body: around } = await call('GET', '/leaderboard/around/p4?count=1');
  expect(around.players.map((one: { player: string }) => one.player)).toEqual(['p3', 'p4', 'p5']);
  expect((await call('GET', '/leaderboard/around/nobody')).body.players).toEqual([]);

  for (const score of ['9', 1.5, null, undefined, 2 ** 60]) expect(await put('u1', score)).toBe(400);
  for (const query of [
    'count=0',
    'count=1001',
    'count=x',
    'page=nonsense',
    `page=${Buffer.from('null').toString('base64url')}`,
    `page=${Buffer.from('{"value":"1"}').toString('base64url')}`,
  ])
    expect((await call('GET', `/leaderboard?${query}`)).status, query).toBe(400);
  expect((await call('GET', '/leaderboard/around/u1?count=501')).status).toBe(400);
}, 120_000);
