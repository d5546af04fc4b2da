// Feeds of the example shop: fan-out by jobs, authors who are read, cursors, feeds that are built again.

import { join } from 'node:path';
import { beforeAll, expect, inject, it } from 'vitest';
import { cleanUp } from '../support/cleanup.ts';
import { until } from '../support/engine.ts';
import { openShop, type Shop } from '../support/shop.ts';

const SETTINGS = { FOLLOWERS_LIMIT: '3', FEED_LENGTH: '5', JOB_LOCK_MS: '1000' };
/** More than FOLLOWERS_LIMIT users follow this one. */
const BIG = 30;

let shop: Shop;
beforeAll(async () => {
  shop = await openShop();
}, 120_000);

async function begin() {
  const { call } = await shop.api(SETTINGS);
  const jobs = shop.begin('jobs', { ...SETTINGS, METRICS_PORT: '0' });
  const post = async (user: number, body: string): Promise<number> => {
    const answer = await call('POST', '/posts', { user, body });
    expect(answer.status).toBe(201);
    return answer.body.id;
  };
  const read = async (query: string) => (await call('GET', `/feed?${query}`)).body;
  const bodies = async (query: string): Promise<string[]> =>
    (await read(query)).posts.map((one: { body: string }) => one.body);
  const kept = (user: number) => shop.redis.zrange(`${shop.name}:shop:feed:{${user}}`, '0', '-1');
  return { call, jobs, post, read, bodies, kept };
}

it('posts get into feeds once, pages stand still, and a feed that is gone is built again', async () => {
  const { call, jobs, post, read, bodies, kept } = await begin();
  for (const author of [10, 20])
    expect((await call('POST', '/follow', { user: 1, author })).status).toBe(201);
  expect((await call('POST', '/follow', { user: 1, author: 20 })).status).toBe(200);
  expect(await bodies('user=1')).toEqual([]);

  // The first look builds and keeps the feed; from then on, jobs bring the posts.
  const first = await post(10, 'one');
  expect(await bodies('user=1')).toEqual(['one']);
  expect(await kept(1)).toEqual([String(first)]);
  const second = await post(20, 'two');
  await until(async () => (await kept(1)).includes(String(second)), 'the job to push the post');
  expect(await bodies('user=1')).toEqual(['two', 'one']);
  // Users who do not look have no feed, or it would lack what came before.
  await shop.database.query('INSERT INTO follows (author_id, follower_id) VALUES (10, 2)');
  const third = await post(10, 'three');
  await until(async () => (await kept(1)).includes(String(third)), 'the job to push the post');
  expect(await kept(2)).toEqual([]);
  expect(await bodies('user=2')).toEqual(['three', 'one']);

  // A request that is repeated makes one post.
  const named = () => call('POST', '/posts', { user: 20, body: 'four' }, { 'idempotency-key': 'post-4' });
  const [one, again] = [await named(), await named()];
  expect(again.body).toEqual(one.body);
  await until(async () => (await kept(1)).includes(String(one.body.id)), 'the job to push the post');

  // A page goes on at its last post, whatever is written meanwhile.
  const page = await read('user=1&count=2');
  expect(page.posts.map((shown: { body: string }) => shown.body)).toEqual(['four', 'three']);
  const fifth = await post(10, 'five');
  await until(async () => (await kept(1)).includes(String(fifth)), 'the job to push the post');
  expect(await bodies(`user=1&count=2&cursor=${page.next}`)).toEqual(['two', 'one']);

  // Without the job: the process died, or Redis was away. And a job that comes again changes nothing.
  const due = 'UPDATE posts SET is_due = TRUE, created_at = created_at - INTERVAL 1 MINUTE WHERE id = ?';
  await shop.database.query(due, [String(fifth)]);
  await shop.database.query(
    "INSERT INTO posts (user_id, body, created_at) VALUES (20, 'six', CURRENT_TIMESTAMP(3) - INTERVAL 1 MINUTE)",
  );
  const isSwept = async () => {
    const [row] = await shop.database.query('SELECT COUNT(*) AS due FROM posts WHERE is_due');
    return Number(row!.due) === 0 && (await bodies('user=1'))[0] === 'six';
  };
  await until(isSwept, 'the sweep to find the posts');
  // FEED_LENGTH of them.
  const all = ['six', 'five', 'four', 'three', 'two'];
  expect(await bodies('user=1')).toEqual(all);

  await shop.redis.del(`${shop.name}:shop:feed:{1}`);
  expect(await bodies('user=1')).toEqual(all);
  expect((await kept(1)).length).toBe(5);

  // An author with many followers is read.
  await shop.database.query(
    'INSERT INTO follows (author_id, follower_id) VALUES (?, 1), (?, 2), (?, 3), (?, 4)',
    [BIG, BIG, BIG, BIG],
  );
  const big = await post(BIG, 'big');
  await until(async () => (await bodies('user=1'))[0] === 'big', 'the author to count as big');
  expect(await kept(1)).not.toContain(String(big));
  expect(await bodies('user=3')).toEqual(['big']);
  expect(await bodies('user=1&count=3')).toEqual(['big', 'six', 'five']);

  // Mistakes of the caller.
  const wrong: [method: string, path: string, body?: unknown][] = [
    ['POST', '/posts', { user: 1, body: '' }],
    ['POST', '/posts', { user: 1, body: 'x'.repeat(1001) }],
    ['POST', '/posts', { user: '1', body: 'x' }],
    ['POST', '/posts', { body: 'x' }],
    ['POST', '/follow', { user: 1, author: 1 }],
    ['POST', '/follow', { user: 1, author: -2 }],
    ['POST', '/follow', { user: 1 }],
    ['GET', '/feed'],
    ['GET', '/feed?user=me'],
    ['GET', '/feed?user=1&count=0'],
    ['GET', '/feed?user=1&count=101'],
    ['GET', '/feed?user=1&cursor=-1'],
  ];
  for (const [method, path, body] of wrong) expect((await call(method, path, body)).status, path).toBe(400);

  jobs.child.kill('SIGTERM');
  expect(await jobs.ended).toMatchObject({ code: 0, stderr: '' });
}, 120_000);

it('a feed that is built keeps no gap, if a post or a choice of authors comes meanwhile', async () => {
  const { openFeeds } = await import(join(inject('shopFolder'), 'src/feed/feeds.ts'));
  const { redis, database } = shop;
  const settings = { namespace: shop.name, feedLength: 5 };
  let meanwhile = async () => {};
  // The shop's pool answers with rows and fields.
  const pausing = {
    query: async (sql: string, values: unknown[]) => {
      const rows = await database.query(sql, values as string[]);
      await meanwhile();
      return [rows];
    },
  };
  const feeds = openFeeds({ redis, database: pausing, settings });
  await database.query('INSERT INTO follows (author_id, follower_id) VALUES (110, 101)');
  const write = async () => {
    await database.query("INSERT INTO posts (user_id, body) VALUES (110, 'new')");
    const [row] = await database.query('SELECT MAX(id) AS id FROM posts');
    return Number(row!.id);
  };
  const first = await write();

  meanwhile = async () => {
    meanwhile = async () => {};
    await feeds.push(await write(), [101]);
  };
  // This look began before the post. The next one has it.
  expect((await feeds.before('101', 1000, 10)).map(Number)).toEqual([first]);
  expect((await feeds.before('101', 1000, 10)).map(Number)).toEqual([first + 1, first]);
  await feeds.forget(101);

  meanwhile = async () => {
    meanwhile = async () => {};
    await database.query('INSERT INTO follows (author_id, follower_id) VALUES (120, 101)');
    await database.query("INSERT INTO posts (user_id, body) VALUES (120, 'old')");
    await feeds.forget(101);
  };
  expect((await feeds.before('101', 1000, 10)).length).toBe(2);
  expect((await feeds.before('101', 1000, 10)).length).toBe(3);
}, 120_000);

it('a post whose job has failed for good gets into the feeds when MySQL is back', async () => {
  const { call, jobs, post, bodies, kept } = await begin();
  expect((await call('POST', '/follow', { user: 201, author: 210 })).status).toBe(201);
  const first = await post(210, 'first');
  expect(await bodies('user=201')).toEqual(['first']);
  expect(await kept(201)).toEqual([String(first)]);
  await shop.database.query('RENAME TABLE follows TO follows_away');
  const late = await post(210, 'late');
  const prefix = `${shop.name}:shop:posts`;
  const hasFailed = async () => {
    // Its ninth attempt was nothing either: minutes are over.
    if ((await shop.redis.zscore(`${prefix}:delayed`, `spread-${late}`)) !== null)
      await shop.redis.hset(`${prefix}:spread-${late}`, 'atm', 9);
    await shop.redis.zadd(`${prefix}:delayed`, 'XX', 'LT', 0, `spread-${late}`);
    return jobs.stdout().includes(`"id":"spread-${late}","attempts":10`);
  };
  await until(hasFailed, 'the last attempt');
  await shop.database.query('RENAME TABLE follows_away TO follows');
  await until(async () => (await kept(201)).includes(String(late)), 'the sweep to add the job again');
  expect(await bodies('user=201')).toEqual(['late', 'first']);
}, 120_000);

it('a feed gets the posts of an author although its process could not forget it after the follow', async () => {
  const { call, post, bodies } = await begin();
  expect((await call('POST', '/follow', { user: 301, author: 310 })).status).toBe(201);
  await post(310, 'known');
  await post(320, 'old');
  expect(await bodies('user=301')).toEqual(['known']);
  // As if the process died, or Redis was away, between the two.
  const user = `half-${shop.name}`;
  await shop.redis.call('ACL', 'SETUSER', user, 'on', 'nopass', '~*', '&*', '+@all', '-del');
  cleanUp(() => shop.redis.call('ACL', 'DELUSER', user));
  const half = await shop.api({ ...SETTINGS, REDIS_URL: shop.env.REDIS_URL!.replace('//', `//${user}:x@`) });
  expect((await half.call('POST', '/follow', { user: 301, author: 320 })).status).toBe(500);
  await until(async () => (await bodies('user=301')).includes('old'), 'the sweep to forget the feed');
}, 120_000);
