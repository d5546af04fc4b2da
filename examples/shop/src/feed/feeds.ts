/**
 * Feeds in Redis: a sorted set of the ids of posts for each user that has looked lately. A post has one place in it, so
 * to push it twice changes nothing. (A list would have it twice.)
 *
 * Invariant: a feed that is there lacks no post. So a push adds to feeds that are there and never begins one; a feed
 * that is built from MySQL is kept only if nothing was pushed or followed meanwhile.
 */
import { randomUUID } from 'node:crypto';
import type { Result } from 'ioredis';
import type { RowDataPacket } from 'mysql2/promise';
import type { Shop } from '../shop.ts';

declare module 'ioredis' {
  interface RedisCommander<Context> {
    pushToFeed(feed: string, building: string, post: number, length: number): Result<number, Context>;
    keepFeed(
      feed: string,
      building: string,
      token: string,
      seconds: number,
      ...posts: number[]
    ): Result<number, Context>;
  }
}

/** Adds a post, or tells whoever builds the feed that it has changed. */
const PUSH = `
  if redis.call('EXISTS', KEYS[1]) == 0 then return redis.call('DEL', KEYS[2]) end
  redis.call('ZADD', KEYS[1], ARGV[1], ARGV[1])
  return redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -ARGV[2] - 1)`;
/** Keeps a feed that was built, if the token says that it has not changed. */
const KEEP = `
  if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
  redis.call('DEL', KEYS[1], KEYS[2])
  for at = 3, #ARGV do redis.call('ZADD', KEYS[1], ARGV[at], ARGV[at]) end
  return redis.call('EXPIRE', KEYS[1], ARGV[2])`;

/** Leaves out big authors, whose posts are read with each page. */
const BUILD = `SELECT posts.id FROM follows JOIN posts ON posts.user_id = follows.author_id
  LEFT JOIN big_authors ON big_authors.user_id = follows.author_id
  WHERE follows.follower_id = ? AND big_authors.user_id IS NULL ORDER BY posts.id DESC LIMIT ?`;

/** Feeds of users who do not look end after a week; the next look builds them again. */
const KEPT_SECONDS = 7 * 24 * 60 * 60;
/** Longest time that building may take; then it is not kept. */
const BUILDING_SECONDS = 30;

export type Feeds = ReturnType<typeof openFeeds>;

export function openFeeds({ redis, database, settings }: Shop) {
  const { namespace, feedLength } = settings;
  redis.defineCommand('pushToFeed', { numberOfKeys: 2, lua: PUSH });
  redis.defineCommand('keepFeed', { numberOfKeys: 2, lua: KEEP });
  /** The braces would put both keys of a user on one node of a Cluster; the shop is for one server (jobs, limits). */
  const keys = (user: number | string) => {
    const feed = `${namespace}:shop:feed:{${user}}`;
    return [feed, `${feed}:building`] as const;
  };

  /** All ids of a feed, newest first, from MySQL. */
  async function build(user: string): Promise<number[]> {
    const [feed, building] = keys(user);
    const token = randomUUID();
    await redis.set(building, token, 'EX', BUILDING_SECONDS);
    const [rows] = await database.query<RowDataPacket[]>(BUILD, [user, feedLength]);
    const ids = rows.map(row => row.id as number);
    if (ids.length > 0) await redis.keepFeed(feed, building, token, KEPT_SECONDS, ...ids);
    return ids;
  }

  return {
    async push(post: number, users: number[]): Promise<void> {
      const pipeline = redis.pipeline();
      for (const user of users) pipeline.pushToFeed(...keys(user), post, feedLength);
      for (const [error] of (await pipeline.exec())!) if (error) throw error;
    },
    /** After another choice of authors: the next look builds it. */
    async forget(user: number): Promise<void> {
      await redis.del(...keys(user));
    },
    /** Ids of posts before another one, newest first. */
    async before(user: string, post: number, count: number): Promise<number[]> {
      const [feed] = keys(user);
      const transaction = redis.multi().expire(feed, KEPT_SECONDS);
      transaction.zrevrangebyscore(feed, `(${post}`, '-inf', 'LIMIT', 0, count);
      const [kept, ids] = (await transaction.exec())!;
      if (kept![1] === 1) return (ids![1] as string[]).map(Number);
      return (await build(user)).filter(id => id < post).slice(0, count);
    },
  };
}
