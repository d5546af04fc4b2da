/**
 * Posts of users, which get into the feeds of their followers.
 *
 * The pattern: fan-out on write, by jobs (jobs.ts). Use it if feeds are read far more often than posts are written. The
 * post and its being due are one row of MySQL, so a crash or an outage of Redis after it delays the feeds and loses
 * nothing: the sweep finds what is due.
 *
 * It does not ask who the user is: a real service takes that from the session. Posts are neither changed nor removed.
 */
import type { ResultSetHeader } from 'mysql2/promise';
import { openQueue } from '../queues.ts';
import { BODY_ID, nameOf } from '../requests.ts';
import type { Part } from '../shop.ts';
import { type PostJob, spread } from './jobs.ts';

interface PostRoute {
  Body: { user: number; body: string };
}

const INSERT = `INSERT INTO posts (user_id, request, body) VALUES (?, ?, ?)
  ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id)`;

const schema = {
  tags: ['posts'],
  summary: 'Write a post; it gets into the feeds of the followers',
  headers: {
    type: 'object',
    properties: { 'idempotency-key': { type: 'string', minLength: 1, maxLength: 64 } },
  },
  body: {
    type: 'object',
    required: ['user', 'body'],
    properties: { user: BODY_ID, body: { type: 'string', minLength: 1, maxLength: 1000 } },
  },
};

export const posts: Part = (api, shop) => {
  const queue = openQueue<PostJob>(shop, 'posts');
  api.addHook('onClose', () => queue.close());

  api.post<PostRoute>('/posts', { schema }, async (request, reply) => {
    const { user, body } = request.body;
    const { id: name } = nameOf(request);
    const [{ insertId: id }] = await shop.database.query<ResultSetHeader>(INSERT, [
      user,
      name === undefined ? null : Buffer.from(name, 'latin1'),
      body,
    ]);
    // Without Redis, the sweep adds the job later.
    await queue.addBulk([spread({ id, user })]).catch(error => {
      request.log.warn({ err: error, post: id }, 'the post gets into the feeds later');
    });
    return reply.status(201).send({ id });
  });
};
