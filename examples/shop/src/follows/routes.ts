/**
 * Who follows whom.
 *
 * The pattern: MySQL decides, and what was made from it is forgotten, never mended: the next look builds the feed.
 *
 * It does not know whether the author exists, and nobody can stop to follow.
 */
import type { ResultSetHeader } from 'mysql2/promise';
import { HttpError } from '../errors.ts';
import { openFeeds } from '../feed/feeds.ts';
import { BODY_ID } from '../requests.ts';
import type { Part } from '../shop.ts';

interface FollowRoute {
  Body: { user: number; author: number };
}

const schema = {
  tags: ['follows'],
  summary: 'A user follows an author',
  body: { type: 'object', required: ['user', 'author'], properties: { user: BODY_ID, author: BODY_ID } },
};
const INSERT = 'INSERT IGNORE INTO follows (author_id, follower_id) VALUES (?, ?)';

export const follows: Part = (api, shop) => {
  const feeds = openFeeds(shop);
  api.post<FollowRoute>('/follow', { schema }, async (request, reply) => {
    const { user, author } = request.body;
    if (user === author) throw new HttpError(400, 'FOLLOWS_ITSELF', 'A user cannot follow itself.');
    const [{ affectedRows }] = await shop.database.query<ResultSetHeader>(INSERT, [author, user]);
    // Also if it was there: the process may have died before this line.
    await feeds.forget(user);
    return reply.status(affectedRows === 1 ? 201 : 200).send({ user, author });
  });
};
