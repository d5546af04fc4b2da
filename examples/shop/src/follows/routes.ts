/**
 * Who follows whom.
 *
 * The pattern: MySQL decides, and what was made from it is forgotten, never mended: the next look builds the feed.
 * That it is to be forgotten is a row of the same transaction (due.ts), so that a crash between the two delays it only.
 *
 * It does not know whether the author exists, and nobody can stop to follow.
 */
import { HttpError } from '../errors.ts';
import { openFeeds } from '../feed/feeds.ts';
import { BODY_ID } from '../requests.ts';
import type { Part } from '../shop.ts';
import { follow, forget } from './due.ts';

interface FollowRoute {
  Body: { user: number; author: number };
}

const schema = {
  tags: ['follows'],
  summary: 'A user follows an author',
  body: { type: 'object', required: ['user', 'author'], properties: { user: BODY_ID, author: BODY_ID } },
};

export const follows: Part = (api, shop) => {
  const feeds = openFeeds(shop);
  api.post<FollowRoute>('/follow', { schema }, async (request, reply) => {
    const { user, author } = request.body;
    if (user === author) throw new HttpError(400, 'FOLLOWS_ITSELF', 'A user cannot follow itself.');
    const { isNew, due } = await follow(shop, author, user);
    await forget(shop, feeds, user, due);
    return reply.status(isNew ? 201 : 200).send({ user, author });
  });
};
