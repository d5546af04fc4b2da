/** The way to the provider of OpenID Connect and back. Browsers follow it, so what fails is shown as a page. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { problemOf } from '../http/problem.ts';
import { parseQuery } from '../http/query.ts';
import { RequestError } from '../http/request-error.ts';
import { type HostCookie, readCookie } from './access.ts';
import { enter, type LoginParts, type LoginRoute, setCookie } from './login.ts';
import { CALLBACK, type OpenId, TICKET_SECONDS } from './openid.ts';

/** `Lax`: it must come back with the browser, which another site sends here. */
const TICKET: HostCookie = '__Host-sluice-openid';

const LINKED = { role: 'public', isLinked: true } as const;

export function openIdRoutes(openid: OpenId): readonly LoginRoute[] {
  return [
    {
      method: 'GET',
      path: '/openid/start',
      declared: LINKED,
      handle: (request, reply, { access }) =>
        orPage(reply, async () => {
          const { to } = parseQuery((request.query as { text?: string }).text ?? '');
          const { location, ticket } = await openid.start(access.originOf(request), to?.[0]);
          setCookie(reply, TICKET, ticket, { maxAge: TICKET_SECONDS, sameSite: 'Lax' });
          return reply.redirect(location, 303);
        }),
    },
    {
      method: 'GET',
      path: CALLBACK,
      declared: LINKED,
      handle: (request, reply, parts) => orPage(reply, () => comeBack(openid, request, reply, parts)),
    },
  ];
}

async function comeBack(openid: OpenId, request: FastifyRequest, reply: FastifyReply, parts: LoginParts) {
  const { access, sessions, config, log } = parts;
  const ticket = readCookie(request, TICKET);
  // It serves once.
  setCookie(reply, TICKET, '', { maxAge: 0, sameSite: 'Lax' });
  // The target of the request may name another host.
  const [, query = ''] = /\?(.*)$/.exec(request.raw.url!) ?? [];
  const address = new URL(`${access.originOf(request)}${CALLBACK}?${query}`);
  const { user, to } = await openid.finish(address, ticket);
  const token = await sessions.open(user, config.sessionMs);
  if (token === undefined)
    throw new RequestError(
      'FORBIDDEN',
      `${user.name} is the name of a user of this console, who logs in with a password.`,
    );
  await enter(request, reply, token, parts);
  log.info({ user: user.name, role: user.role, client: request.ip }, 'logged in by OpenID Connect');
  return reply.redirect(to, 303);
}

async function orPage(reply: FastifyReply, work: () => Promise<unknown>): Promise<unknown> {
  try {
    return await work();
  } catch (error) {
    const { status, detail } = problemOf(error as Error);
    return reply.code(status).header('content-type', 'text/html; charset=utf-8').send(failurePage(detail));
  }
}

function failurePage(detail: string): string {
  const text = detail.replace(/[&<>"']/g, sign => `&#${sign.charCodeAt(0)};`);
  return `<!doctype html><html lang="en"><title>Sluice</title><p>${text}</p><p><a href="/login">Back to the login</a></p></html>`;
}
