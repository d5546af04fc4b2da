/**
 * Logins, and who a request is from.
 *
 * The pattern: the cookie holds a random, signed id and nothing else; what it stands for is in Redis. So any process
 * answers any request, a restart ends no session, and a logout ends one everywhere at once. Use it for browsers; for
 * services, keys or tokens are simpler.
 *
 * What it does not do: no second factor, no reset of passwords, no list of a user's sessions, no end of a session that
 * is in use. Five logins with a name in a minute keep its user out for that minute, whoever sent them, also with the
 * right password. `SameSite=Lax` and JSON bodies keep other sites' forms out; a change by GET would need more.
 */
import cookie from '@fastify/cookie';
import session from '@fastify/session';
import { BulkheadRejectedError, bulkhead } from 'cockatiel';
import type { RowDataPacket } from 'mysql2/promise';
import { HttpError } from '../errors.ts';
import { createLimiter, networkOf } from '../limits/limiter.ts';
import { isPassword, NOBODY } from '../passwords.ts';
import type { Part } from '../shop.ts';
import { sessionStore } from './store.ts';

declare module 'fastify' {
  interface Session {
    user?: { readonly id: string; readonly name: string };
  }
}

interface LoginRoute {
  Body: { name: string; password: string };
}

const tags = ['sessions'];
const loginSchema = {
  summary: 'Logs in: sets a cookie',
  tags,
  body: {
    type: 'object',
    required: ['name', 'password'],
    properties: {
      name: { type: 'string', minLength: 1, maxLength: 64 },
      password: { type: 'string', minLength: 1, maxLength: 200 },
    },
  },
} as const;

/** Checks of passwords at once, each with 128 MiB and a thread of the four that files and DNS need too. */
const CHECKS = 2;
const WAITING_CHECKS = 8;

export const sessions: Part = async (api, shop) => {
  const { settings, sluice, redis, database } = shop;
  const checks = bulkhead(CHECKS, WAITING_CHECKS);
  const perAddress = createLimiter(shop, quota('login-address', 30));
  const perName = createLimiter(shop, quota('login-name', 5));
  const lastSeen = sluice.value('last_seen');
  await api.register(cookie);
  await api.register(session, {
    secret: settings.sessionSecret,
    cookieName: 'session',
    store: sessionStore(redis, `${settings.namespace}:shop:sessions`),
    // Requests without a session get no cookie, and only a login writes one.
    saveUninitialized: false,
    rolling: false,
    // Without an age the browser forgets it at its end, and Redis when it is not used.
    cookie: { httpOnly: true, sameSite: 'lax', secure: settings.secureCookies },
  });

  /** The same answer after the same time for an unknown name and a wrong password. */
  async function check(name: string, password: string) {
    const [rows] = await database.query<RowDataPacket[]>(
      'SELECT CAST(id AS CHAR) AS id, name, password FROM users WHERE name = ?',
      [name],
    );
    // MySQL finds `Ann` for `ann` too, but each spelling would have its own limit.
    const user = rows[0]?.name === name ? rows[0] : undefined;
    const isRight = await checks
      .execute(() => isPassword(password, user?.password ?? NOBODY))
      .catch((error: unknown) => {
        if (!(error instanceof BulkheadRejectedError)) throw error;
        throw new HttpError(503, 'TOO_MANY_LOGINS', 'Too many people log in now.', 1);
      });
    if (!user || !isRight) throw new HttpError(401, 'WRONG_LOGIN', 'The name or the password is wrong.');
    return { id: String(user.id), name };
  }

  api.post<LoginRoute>('/login', { schema: loginSchema }, async (request, reply) => {
    const { name, password } = request.body;
    await perAddress(networkOf(request.ip), request, reply);
    await perName(name, request, reply);
    const user = await check(name, password);
    // A new id, so that an id that somebody planted in this browser is worth nothing.
    await request.session.regenerate();
    request.session.set('user', user);
    await lastSeen.put(user.id, Date.now());
    return user;
  });

  api.get('/profile', { schema: { summary: 'Who is logged in', tags } }, async request => {
    const { user } = request.session;
    if (!user) throw new HttpError(401, 'NOT_LOGGED_IN', 'Log in first.');
    const [loyalty, seen] = await Promise.all([
      sluice.points('loyalty').balance(user.id),
      lastSeen.get(user.id),
    ]);
    return { ...user, loyalty, lastSeen: seen === null ? null : new Date(seen) };
  });

  api.post('/logout', { schema: { summary: 'Logs out', tags } }, async (request, reply) => {
    await request.session.destroy();
    return reply.clearCookie('session').status(204).send();
  });
};

function quota(name: string, limit: number) {
  return { name, algorithm: 'sliding', limit, seconds: 60 } as const;
}
