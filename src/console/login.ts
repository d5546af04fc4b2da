/** The routes of logins: who is there, log in, log out, and the list of users. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import * as z from 'zod';
import { RequestError } from '../http/request-error.ts';
import { readShape } from '../http/shape.ts';
import type { ConsoleConfig } from '../shared/config/console.ts';
import { packageVersion } from '../shared/config/version.ts';
import { type ConsoleAccess, type DeclaredAccess, type HostCookie, sessionCookie } from './access.ts';
import type { Me, Users as ShownUsers } from './answers.ts';
import type { LoginLimits } from './login-limits.ts';
import { LONGEST } from './passwords.ts';
import type { Asker } from './route.ts';
import type { Sessions } from './sessions.ts';
import type { Users } from './users.ts';

export interface LoginParts {
  readonly config: ConsoleConfig;
  readonly namespace: string;
  readonly access: ConsoleAccess;
  readonly users: Users;
  readonly sessions: Sessions;
  readonly limits: LoginLimits;
  readonly log: Logger;
}

const loginSchema = z.strictObject({ name: z.string().max(LONGEST), password: z.string().max(LONGEST) });
const logoutSchema = z.strictObject({ everywhere: z.boolean() });

/** A route that works with logins rather than with the parts of other routes. */
export interface LoginRoute {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly declared: DeclaredAccess;
  handle(request: FastifyRequest, reply: FastifyReply, parts: LoginParts): Promise<unknown>;
}

const ANYONE: DeclaredAccess = { role: 'public' };

/** The server must check each request by `ConsoleAccess.check` before. */
export function registerLogin(
  server: FastifyInstance,
  routes: readonly LoginRoute[],
  parts: LoginParts,
): void {
  for (const { method, path, declared, handle } of routes)
    server.route({
      method,
      url: path,
      config: { console: declared },
      handler: (request, reply) => handle(request, reply, parts),
    });
}

export const loginRoutes: readonly LoginRoute[] = [
  {
    method: 'GET',
    path: '/api/me',
    declared: ANYONE,
    handle: async (request, reply, parts) =>
      send(reply, await meOf(await parts.access.askerOf(request), parts)),
  },
  { method: 'POST', path: '/api/login', declared: ANYONE, handle: logIn },
  { method: 'POST', path: '/api/logout', declared: ANYONE, handle: logOut },
  { method: 'GET', path: '/api/users', declared: { role: 'admin' }, handle: listUsers },
];

async function logIn(request: FastifyRequest, reply: FastifyReply, parts: LoginParts): Promise<unknown> {
  const { users, sessions, limits, log, config } = parts;
  const { name, password } = readShape({ body: loginSchema }, request).body as z.infer<typeof loginSchema>;
  await refuseUnlessForm(parts);
  const succeeded = limits.take(request.ip, name);
  const user = await users.check(name, password);
  const token = user && (await sessions.open(user, config.sessionMs));
  const session = token === undefined ? undefined : await sessions.find(token);
  if (token === undefined || !session) {
    log.warn({ user: name, client: request.ip }, 'a login at the console failed');
    throw new RequestError('UNAUTHENTICATED', 'The name or the password is wrong.');
  }
  succeeded();
  await enter(request, reply, token, parts);
  log.info({ user: session.name, client: request.ip }, 'logged in at the console');
  return send(reply, await meOf(session, parts));
}

async function logOut(request: FastifyRequest, reply: FastifyReply, parts: LoginParts): Promise<unknown> {
  const { access, sessions, log } = parts;
  const { everywhere } = readShape({ body: logoutSchema }, request).body as z.infer<typeof logoutSchema>;
  const token = access.tokenOf(request);
  // First, so that this browser forgets it even if MySQL does not answer.
  setCookie(reply, sessionCookie(access.originOf(request)), '', { maxAge: 0, sameSite: 'Strict' });
  const session = token === undefined ? undefined : await sessions.find(token);
  if (session && token !== undefined) {
    await (everywhere ? sessions.endAll(session.name) : sessions.end(token));
    log.info({ user: session.name, client: request.ip, everywhere }, 'logged out at the console');
  }
  return send(reply, await meOf(undefined, parts));
}

async function listUsers(_: FastifyRequest, reply: FastifyReply, { users }: LoginParts): Promise<unknown> {
  const listed = await users.list();
  return send(reply, {
    users: listed.map(({ createdAt, lastLoginAt, name, role }) => ({
      name,
      role,
      createdAt: createdAt.toISOString(),
      lastLoginAt: lastLoginAt?.toISOString() ?? null,
    })),
  });
}

/** Gives the browser a new token. One that it had before ends: it may be known to somebody else. */
export async function enter(
  request: FastifyRequest,
  reply: FastifyReply,
  token: string,
  { access, sessions, config }: LoginParts,
): Promise<void> {
  const before = access.tokenOf(request);
  if (before !== undefined) await sessions.end(before);
  const maxAge = Math.floor(config.sessionMs / 1000);
  setCookie(reply, sessionCookie(access.originOf(request)), token, { maxAge, sameSite: 'Strict' });
}

/** With the prefix `__Host-`, browsers take it only over HTTPS or on the loopback, and from this host only. */
export function setCookie(
  reply: FastifyReply,
  name: HostCookie,
  value: string,
  { maxAge, sameSite }: { maxAge: number; sameSite: 'Strict' | 'Lax' },
): void {
  reply.header(
    'set-cookie',
    `${name}=${value}; Path=/; HttpOnly; Secure; SameSite=${sameSite}; Max-Age=${maxAge}`,
  );
}

/** @throws RequestError if there is another login, or none */
async function refuseUnlessForm({ access }: LoginParts): Promise<void> {
  const kind = await access.kind();
  if (kind === 'form') return;
  throw new RequestError(
    'FORBIDDEN',
    kind === 'proxy'
      ? 'Users log in at the proxy before this console.'
      : 'There are no users; make one with "sluice users add".',
  );
}

/** Nobody who is not logged in learns which version runs. */
async function meOf(
  asker: Pick<Asker, 'name' | 'role'> | undefined,
  { access, config, namespace }: LoginParts,
): Promise<Me> {
  const login = await access.kind();
  return {
    user: asker && login !== 'open' ? { name: asker.name, role: asker.role } : null,
    login,
    openid: config.openid !== undefined,
    version: asker ? packageVersion() : '',
    namespace,
  };
}

function send(reply: FastifyReply, body: Me | ShownUsers) {
  return reply.header('content-type', 'application/json').send(JSON.stringify(body));
}
