/**
 * Sessions in Redis, for @fastify/session: connect-redis needs node-redis, and the shop has ioredis.
 *
 * Ids are stored as they are. A cookie holds the id with a signature, so who reads an id in Redis has no cookie.
 */
import type { SessionStore } from '@fastify/session';
import type { Session } from 'fastify';
import type { Redis } from 'ioredis';

/** A session ends when nobody has used it for this time. */
const IDLE_S = 30 * 60;

export function sessionStore(redis: Redis, prefix: string): SessionStore {
  const key = (id: string) => `${prefix}:${id}`;
  return {
    set(id, session, callback) {
      const { cookie: _, ...kept } = session;
      redis.set(key(id), JSON.stringify(kept), 'EX', IDLE_S).then(() => callback(), callback);
    },
    // Each use begins the time anew. Nothing is written back, so a request that began before a logout and ends after
    // it cannot bring the session back.
    get(id, callback) {
      redis
        .getex(key(id), 'EX', IDLE_S)
        .then(text => callback(null, text === null ? null : (JSON.parse(text) as Session)), callback);
    },
    destroy(id, callback) {
      redis.del(key(id)).then(() => callback(), callback);
    },
  };
}
