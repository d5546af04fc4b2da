/**
 * Who asks, and from where. One hook of the server calls `check` for every request, before anything else is done with it.
 *
 * A browser can be made to send requests by any page that it shows. So a request must name this console as its
 * host, also on the loopback: a foreign name may lead here by DNS. Data is for this console's own page only, and
 * a change must come from it, with any kind of login.
 */
import { BlockList, isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';
import { RequestError } from '../http/request-error.ts';
import { isLoopback } from '../shared/config/api.ts';
import type { ConsoleConfig, ProxyLogin } from '../shared/config/console.ts';
import { ConfigurationError } from '../shared/errors.ts';
import { ROLES, type Role } from '../shared/roles.ts';
import type { Me } from './answers.ts';
import type { Asker } from './route.ts';
import type { Sessions } from './sessions.ts';

/** What each route declares. */
export interface DeclaredAccess {
  /** The lowest role that may use it; `public` if nobody need be logged in. */
  readonly role: Role | 'public';
  /** Whether other sites may lead to it by a link: a view of the page, or the way of OpenID Connect. */
  readonly isLinked?: boolean;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    console?: DeclaredAccess;
  }
}

export type HostCookie = `__Host-${string}`;

/** An asker's own reasons to be here, without what the request adds. */
interface Login {
  readonly name: string;
  readonly role: Role;
}

/** A slow MySQL has this time to say that there are users, ms: at the start nobody waits for the answer. */
const START_PATIENCE_MS = 15_000;

/** Anyone on this machine, while there are no users. */
const ANYONE: Login = { name: 'anyone', role: 'viewer' };

const LOOPBACK = /^(localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::(\d{1,5}))?$/;
const JSON_TYPE = /^application\/json\s*(?:;|$)/i;
/** No control characters, and nothing that audit records would cut off. */
const USER_NAME = /^[^\p{Cc}]{1,255}$/u;

export class ConsoleAccess {
  readonly #config: ConsoleConfig;
  readonly #sessions: Sessions;
  /** Configured origins by the header `Host` that browsers send for them. */
  readonly #origins: ReadonlyMap<string, string>;
  readonly #proxies: BlockList | undefined;

  constructor(config: ConsoleConfig, sessions: Sessions) {
    this.#config = config;
    this.#sessions = sessions;
    this.#origins = new Map(config.origins.map(origin => [new URL(origin).host, origin]));
    this.#proxies = config.proxy && listOf(config.proxy.proxies);
  }

  /**
   * @returns who asks; undefined if the route is public
   * @throws RequestError if the request comes from elsewhere, or if nobody or the wrong role asks
   */
  async check(request: FastifyRequest): Promise<Asker | undefined> {
    this.checkSource(request);
    // Without a route there is nothing to allow, and the answer is 404.
    const { role = 'public' } = request.routeOptions.config?.console ?? {};
    if (role === 'public') return undefined;
    const asker = await this.askerOf(request);
    if (!asker) throw unauthenticated(this.#config);
    if (!suffices(asker.role, role))
      throw new RequestError(
        'FORBIDDEN',
        `This needs the role ${role}, and ${asker.name} has the role ${asker.role}.`,
      );
    return asker;
  }

  /** @throws RequestError */
  checkSource(request: FastifyRequest): void {
    const { method, headers } = request.raw;
    const origin = this.originOf(request);
    const { 'sec-fetch-site': site, origin: given } = headers;
    const isOurs = given === undefined || given === origin;
    if (method === 'GET' || method === 'HEAD') {
      if (!isOurs || !(site === undefined || site === 'same-origin' || site === 'none' || isLink(request)))
        throw foreign('only the page of this console may read this');
      return;
    }
    // Browsers of before 2023 send no Sec-Fetch-Site; all send an Origin with a change.
    if (!isOurs || !(site === 'same-origin' || (site === undefined && given !== undefined)))
      throw foreign(
        `a change needs the header "Sec-Fetch-Site: same-origin" or, without it, "Origin: ${origin}"`,
      );
    if (!JSON_TYPE.test(headers['content-type'] ?? ''))
      throw new RequestError(
        'UNSUPPORTED_MEDIA_TYPE',
        'A change needs a JSON body with "Content-Type: application/json".',
      );
  }

  /** The origin under which the browser knows this console. @throws RequestError for any other */
  originOf({ raw }: FastifyRequest): string {
    // Not fastify's `host`, which takes X-Forwarded-Host of a proxy.
    const host = raw.headers.host?.toLowerCase() ?? '';
    const known = this.#origins.get(host);
    if (known) return known;
    if (LOOPBACK.test(host)) return `${this.#config.tls ? 'https' : 'http'}://${host}`;
    throw new RequestError(
      'FORBIDDEN',
      `The console does not answer under the name ${JSON.stringify(host.slice(0, 255))}; add its origin to SLUICE_CONSOLE_ORIGINS if it is yours, and let a proxy pass the header Host on.`,
    );
  }

  /** @throws RequestError for a user without a role; DatabaseUnavailableError if nobody can say */
  async askerOf(request: FastifyRequest): Promise<Asker | undefined> {
    const login = await this.#loginOf(request);
    if (!login) return undefined;
    const { name, role } = login;
    const seesPayloads = suffices(role, this.#config.payloads);
    return { name, role, address: request.ip, seesPayloads };
  }

  /** How one logs in now. */
  async kind(): Promise<Me['login']> {
    const { proxy, openid, host } = this.#config;
    if (proxy) return 'proxy';
    if (openid || !isLoopback(host)) return 'form';
    return (await this.#sessions.users()) === 0 ? 'open' : 'form';
  }

  /** @throws ConfigurationError if others could reach the console, and nobody could log in */
  async checkStart(): Promise<void> {
    const { proxy, openid, host } = this.#config;
    if (proxy || openid || isLoopback(host)) return;
    // While MySQL is away, nobody gets in.
    const users = await this.#sessions.users(START_PATIENCE_MS).catch(() => undefined);
    if (users !== 0) return;
    throw new ConfigurationError(
      `There is no user yet, so the console does not open ${host} to others; add one with "sluice users add", or set SLUICE_CONSOLE_HOST=127.0.0.1.`,
    );
  }

  /** The token in the request's cookie. */
  tokenOf(request: FastifyRequest): string | undefined {
    return readCookie(request, sessionCookie(this.originOf(request)));
  }

  async #loginOf(request: FastifyRequest): Promise<Login | undefined> {
    const { proxy, openid } = this.#config;
    if (proxy) return this.#fromProxy(request, proxy);
    const token = this.tokenOf(request);
    const session = token === undefined ? undefined : await this.#sessions.find(token);
    // One of before OpenID Connect was switched off.
    if (session && (!session.isOpenId || openid)) return session;
    return (await this.kind()) === 'open' ? ANYONE : undefined;
  }

  #fromProxy({ raw }: FastifyRequest, { userHeader, roleHeader, roles }: ProxyLogin): Login | undefined {
    // The connection's address: anyone can write X-Forwarded-For.
    const { remoteAddress = '' } = raw.socket;
    if (!contains(this.#proxies!, remoteAddress)) return undefined;
    const name = onlyValue(raw.rawHeaders, userHeader);
    if (name === undefined || !isUserName(name)) return undefined;
    const given = roleHeader === undefined ? undefined : onlyValue(raw.rawHeaders, roleHeader);
    return { name, role: roleFor(name, (given ?? '').split(','), roles) };
  }
}

/** Whether a name from elsewhere can be that of a user. */
export function isUserName(name: string): boolean {
  return USER_NAME.test(name);
}

/** Whether a role may do what needs another one. */
function suffices(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

/** The highest role that any of the names gives. @throws RequestError if none does */
export function roleFor(user: string, names: readonly string[], roles: ReadonlyMap<string, Role>): Role {
  const given = [...names.map(name => name.trim()), '*'].flatMap(name => roles.get(name) ?? []);
  const highest = ROLES.findLast(role => given.includes(role));
  if (highest) return highest;
  throw new RequestError(
    'FORBIDDEN',
    `${user} is known, and has no role at this console; SLUICE_CONSOLE_ROLES says which groups have one.`,
  );
}

/** Browsers send the cookies of a host to all its ports, so consoles behind tunnels would share one name. */
export function sessionCookie(origin: string): HostCookie {
  const { hostname, port } = new URL(origin);
  return isLoopback(hostname.replace(/^\[|\]$/g, '')) && port !== ''
    ? `__Host-sluice-${port}`
    : '__Host-sluice';
}

export function readCookie({ raw }: FastifyRequest, name: string): string | undefined {
  for (const pair of (raw.headers.cookie ?? '').split(';')) {
    const at = pair.indexOf('=');
    if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
  }
  return undefined;
}

/** Somebody follows a link from another site to a view of the page: what the view shows, it asks for itself. */
function isLink({ raw, routeOptions }: FastifyRequest): boolean {
  const { 'sec-fetch-mode': mode, 'sec-fetch-dest': destination } = raw.headers;
  return routeOptions.config?.console?.isLinked === true && mode === 'navigate' && destination === 'document';
}

function foreign(rule: string): RequestError {
  return new RequestError('FORBIDDEN', `The request comes from another site: ${rule}.`);
}

function unauthenticated({ proxy }: ConsoleConfig): RequestError {
  return new RequestError(
    'UNAUTHENTICATED',
    proxy
      ? 'The proxy before this console has sent no user; log in there.'
      : 'Nobody is logged in; log in first.',
  );
}

/** The value of a header that came once: a proxy that adds its header to a browser's has not removed that one. */
function onlyValue(rawHeaders: readonly string[], name: string): string | undefined {
  const values = rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]!.toLowerCase() === name);
  if (values.length !== 1) return undefined;
  // Node reads headers as Latin-1, and proxies send UTF-8.
  return Buffer.from(values[0]!, 'latin1').toString('utf8').trim();
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits] = network.split('/');
    const family = familyOf(address);
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return list;
}

function contains(list: BlockList, given: string): boolean {
  // A socket for both families names IPv4 addresses like this.
  const address = given.replace(/^::ffff:(?=\d+\.)/i, '');
  return isIP(address) !== 0 && list.check(address, familyOf(address));
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}
