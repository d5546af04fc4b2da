/**
 * The feed of a user: the posts of those whom the user follows, newest first.
 *
 * The pattern: most posts were put into the feed when they were written (src/posts). Posts of authors with very many
 * followers are read from MySQL and merged, since one post would be a write for each follower. The cursor is the last
 * post that was shown, never a number of pages: new posts move nothing.
 *
 * It keeps the newest 1,000 posts of a feed; older ones of big authors only. It does not rank posts.
 */
import type { RowDataPacket } from 'mysql2/promise';
import { ID } from '../requests.ts';
import type { Part } from '../shop.ts';
import { openFeeds } from './feeds.ts';

interface FeedRoute {
  Querystring: { user: string; cursor?: string; count?: string };
}

const tags = ['feed'];
const querystring = {
  type: 'object',
  required: ['user'],
  /** A count of 1 to 100. */
  properties: { user: ID, cursor: ID, count: { type: 'string', pattern: '^([1-9][0-9]?|100)$' } },
};
const BIG = `SELECT posts.id FROM follows JOIN big_authors ON big_authors.user_id = follows.author_id
  JOIN posts ON posts.user_id = follows.author_id
  WHERE follows.follower_id = ? AND posts.id < ? ORDER BY posts.id DESC LIMIT ?`;
/** UNIX_TIMESTAMP, since MySQL shows a time in the time zone of its server. */
const POSTS = `SELECT id, user_id AS user, body, 1000 * UNIX_TIMESTAMP(created_at) AS at
  FROM posts WHERE id IN (?) ORDER BY id DESC`;

export const feed: Part = (api, shop) => {
  const { database } = shop;
  const feeds = openFeeds(shop);

  const read = { tags, summary: 'Posts of those whom a user follows, newest first', querystring };
  api.get<FeedRoute>('/feed', { schema: read }, async request => {
    const { user, cursor, count: asked } = request.query;
    const before = Number(cursor ?? Number.MAX_SAFE_INTEGER);
    const count = Number(asked ?? 20);
    const [pushed, [big]] = await Promise.all([
      feeds.before(user, before, count),
      database.query<RowDataPacket[]>(BIG, [user, before, count]),
    ]);
    // An author may have become big after a post was pushed, so one may be in both.
    const ids = [...new Set([...pushed, ...big.map(row => row.id as number)])];
    const page = ids.toSorted((a, b) => b - a).slice(0, count);
    if (page.length === 0) return { posts: [] };
    const [rows] = await database.query<RowDataPacket[]>(POSTS, [page]);
    const posts = rows.map(row => ({ ...row, at: new Date(Number(row.at)) }));
    return { posts, ...(page.length === count && { next: String(page.at(-1)) }) };
  });
};
