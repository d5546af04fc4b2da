/** The environment variables of the console: where it answers, and who may use it. */
import { isIP } from 'node:net';
import { ConfigurationError } from '../errors.ts';
import type { Password } from '../password.ts';
import { ROLES, type Role } from '../roles.ts';
import {
  type ApiConfig,
  isLoopback,
  type NumberVariable,
  readList,
  readNetworks,
  readTls,
  readWholeNumber,
  type Text,
} from './api.ts';
import { readPort, type Variable } from './variables.ts';

export interface ConsoleConfig {
  readonly host: string;
  readonly port: number;
  /** Origins other than those of the loopback under which browsers open it. */
  readonly origins: readonly string[];
  readonly tls: ApiConfig['tls'];
  /** Addresses and networks whose `X-Forwarded-For` counts. */
  readonly trustedProxies: readonly string[];
  /** Undefined if no proxy authenticates. */
  readonly proxy: ProxyLogin | undefined;
  /** Undefined without OpenID Connect. */
  readonly openid: OpenIdLogin | undefined;
  /** The lowest role that sees reasons, metadata and error texts of updates. */
  readonly payloads: Role;
  /** How long a login lasts. */
  readonly sessionMs: number;
  /** Undefined without a Prometheus server. */
  readonly prometheus: PrometheusServer | undefined;
}

/** A proxy that authenticates, and names the user in a header. */
export interface ProxyLogin {
  /** In lower case. */
  readonly userHeader: string;
  readonly roleHeader: string | undefined;
  /** Addresses and networks from which the headers count. */
  readonly proxies: readonly string[];
  readonly roles: RoleMap;
}

export interface OpenIdLogin {
  readonly issuer: string;
  readonly clientId: string;
  /** Undefined for a public client. */
  readonly clientSecret: Password | undefined;
  readonly scopes: string;
  readonly userClaim: string;
  readonly roleClaim: string | undefined;
  readonly roles: RoleMap;
}

/** Which value of the role's header or claim gives which role. `*` is anyone who may log in. */
type RoleMap = ReadonlyMap<string, Role>;

export interface PrometheusServer {
  /** Without user and password. */
  readonly url: string;
  /** The header `Authorization`; undefined if the URL names no user. */
  readonly authorization: string | undefined;
}

const HOUR = 60 * 60 * 1000;

const session: NumberVariable = {
  name: 'SLUICE_CONSOLE_SESSION_MS',
  default: 12 * HOUR,
  min: 60_000,
  max: 11 * 24 * HOUR,
  what: 'How long a login at the console lasts',
};

export const consoleVariables: readonly Variable[] = [
  {
    name: 'SLUICE_CONSOLE_HOST',
    default: '127.0.0.1',
    what: 'Address on which the console answers; `0.0.0.0` inside a container. Any but the loopback needs `SLUICE_CONSOLE_ORIGINS`, and a login: users (`sluice users add`), a proxy, or OpenID Connect',
  },
  {
    name: 'SLUICE_CONSOLE_PORT',
    default: '9466',
    what: 'Its port; `0` takes a free one and logs it. `tcp://...`, which Kubernetes sets for a Service named `sluice-console`, counts as not set',
  },
  {
    name: 'SLUICE_CONSOLE_ORIGINS',
    default: '',
    what: 'Origins under which browsers open the console, such as `https://sluice.example.com`. Requests to other names are refused, except to those of the loopback. Plain HTTP is for the loopback only, since browsers keep the cookie of a login only under HTTPS',
  },
  {
    name: 'SLUICE_CONSOLE_USER_HEADER',
    default: '',
    what: 'Header in which a proxy that authenticates names the user, such as `X-Forwarded-User`. The proxy must remove it from the requests of browsers. There is then no other login',
  },
  {
    name: 'SLUICE_CONSOLE_USER_PROXIES',
    default: '',
    what: 'Addresses and networks of that proxy, such as `10.0.0.7`; the header counts from nowhere else. Required with the header',
  },
  {
    name: 'SLUICE_CONSOLE_ROLE_HEADER',
    default: '',
    what: "Header in which that proxy names the user's roles or groups, with commas between them, such as `X-Forwarded-Groups`",
  },
  {
    name: 'SLUICE_CONSOLE_ROLES',
    default: '',
    what: 'Which role, group or value of a claim gives which role of the console: `sre=operator,leads=admin`. `*=viewer` is for everybody who is authenticated. If it is not set, roles have their own names: viewer, operator and admin. The highest counts; a user without a role is refused',
  },
  {
    name: 'SLUICE_CONSOLE_PAYLOADS',
    default: 'viewer',
    what: 'Lowest role that sees reasons, metadata and error texts of updates: viewer, operator or admin',
  },
  {
    name: session.name,
    default: String(session.default),
    what: `${session.what} (${session.min} to ${session.max})`,
  },
  {
    name: 'SLUICE_PROMETHEUS_URL',
    default: '',
    what: "Prometheus server with the metrics of Sluice, such as `http://prometheus:9090`, for the console's charts; `https://USER:PASSWORD@HOST` logs in. Without it, the charts begin when the console starts",
  },
  {
    name: 'SLUICE_OPENID_ISSUER',
    default: '',
    what: 'Issuer of OpenID Connect, such as `https://login.example.com/realms/main`: users of the console log in there. Needs the package `openid-client`',
  },
  {
    name: 'SLUICE_OPENID_CLIENT_ID',
    default: '',
    what: 'The console there. Its redirect address is `/openid/callback` behind each origin of the console',
  },
  { name: 'SLUICE_OPENID_CLIENT_SECRET', default: '', what: 'Its secret; none for a public client' },
  {
    name: 'SLUICE_OPENID_CLIENT_SECRET_FILE',
    default: '',
    what: 'File that holds it instead, such as a container secret',
  },
  { name: 'SLUICE_OPENID_SCOPES', default: 'openid email profile', what: 'Scopes to ask for' },
  {
    name: 'SLUICE_OPENID_USER_CLAIM',
    default: 'email',
    what: 'Claim with the name under which actions are recorded. An address that is not verified is refused',
  },
  {
    name: 'SLUICE_OPENID_ROLE_CLAIM',
    default: '',
    what: 'Claim with roles or groups, such as `groups` or `realm_access.roles`. Required, unless `SLUICE_CONSOLE_ROLES` has a role for `*`',
  },
];

const HEADER = /^[A-Za-z0-9-]{1,64}$/;

/** @throws ConfigurationError that names the variable */
export function readConsole(text: Text, secret: (name: string) => Password | undefined): ConsoleConfig {
  const host = withDefault(text, 'SLUICE_CONSOLE_HOST');
  const origins = readOrigins(text);
  if (!isLoopback(host) && origins.length === 0)
    throw new ConfigurationError(
      `SLUICE_CONSOLE_HOST=${host} opens the console to others; set SLUICE_CONSOLE_ORIGINS to the address that browsers use, such as https://sluice.example.com, or SLUICE_CONSOLE_HOST=127.0.0.1.`,
    );
  const proxy = readProxy(text);
  const openid = readOpenId(text, secret);
  if (proxy && openid)
    throw new ConfigurationError(
      'SLUICE_CONSOLE_USER_HEADER and SLUICE_OPENID_ISSUER are both set; leave one out, since only one of them can say who the user is.',
    );
  return {
    host,
    port: readPort('SLUICE_CONSOLE_PORT', withDefault(text, 'SLUICE_CONSOLE_PORT')),
    origins,
    tls: readTls(text),
    trustedProxies: [...readNetworks('SLUICE_TRUSTED_PROXIES', text), ...(proxy?.proxies ?? [])],
    proxy,
    openid,
    payloads: readRole('SLUICE_CONSOLE_PAYLOADS', withDefault(text, 'SLUICE_CONSOLE_PAYLOADS')),
    sessionMs: readWholeNumber(session, text),
    prometheus: readPrometheus(text('SLUICE_PROMETHEUS_URL')),
  };
}

function withDefault(text: Text, name: string): string {
  return text(name) ?? consoleVariables.find(known => known.name === name)!.default;
}

function readRole(name: string, value: string): Role {
  const role = ROLES.find(known => known === value);
  if (role) return role;
  throw new ConfigurationError(
    `${name} must have one of the roles ${ROLES.join(', ')}, not ${JSON.stringify(value)}.`,
  );
}

function readOrigins(text: Text): string[] {
  return readList(text('SLUICE_CONSOLE_ORIGINS')).map(given => {
    const url = URL.parse(given);
    // The browser's text of an origin is compared with this one, so it must be exactly as browsers write it.
    if (!url || !/^https?:$/.test(url.protocol) || url.origin !== given)
      throw new ConfigurationError(
        `SLUICE_CONSOLE_ORIGINS must be a list of origins such as https://sluice.example.com, in lower case and without a path; ${JSON.stringify(given)} is none.`,
      );
    if (url.protocol === 'http:' && !isLoopback(hostOf(url)))
      throw new ConfigurationError(
        `SLUICE_CONSOLE_ORIGINS has ${given}, but browsers keep the cookie of a login only under HTTPS; put a proxy with TLS in front, or set SLUICE_TLS_CERT and SLUICE_TLS_KEY.`,
      );
    return given;
  });
}

/** The name or address of a URL, without the brackets of IPv6. */
function hostOf({ hostname }: URL): string {
  const bare = hostname.replace(/^\[|\]$/g, '');
  return isIP(bare) === 6 ? bare : hostname;
}

function readProxy(text: Text): ProxyLogin | undefined {
  const userHeader = header(text, 'SLUICE_CONSOLE_USER_HEADER');
  const roleHeader = header(text, 'SLUICE_CONSOLE_ROLE_HEADER');
  const proxies = readNetworks('SLUICE_CONSOLE_USER_PROXIES', text);
  if (userHeader === undefined) {
    if (roleHeader === undefined && proxies.length === 0) return undefined;
    throw new ConfigurationError(
      'SLUICE_CONSOLE_ROLE_HEADER and SLUICE_CONSOLE_USER_PROXIES need SLUICE_CONSOLE_USER_HEADER, the header that names the user.',
    );
  }
  if (proxies.length === 0)
    throw new ConfigurationError(
      'SLUICE_CONSOLE_USER_HEADER needs SLUICE_CONSOLE_USER_PROXIES, the addresses of the proxy: from anywhere else, everybody could write the header.',
    );
  const roles = readRoles(text, roleHeader !== undefined, 'SLUICE_CONSOLE_ROLE_HEADER');
  return { userHeader, roleHeader, proxies, roles };
}

function header(text: Text, name: string): string | undefined {
  const given = text(name);
  if (given === undefined || HEADER.test(given)) return given?.toLowerCase();
  throw new ConfigurationError(`${name} must be the name of a header, such as X-Forwarded-User.`);
}

/** @param source the variable that says where roles come from; without it, only `*` can give one */
function readRoles(text: Text, hasSource: boolean, source: string): RoleMap {
  const entries = readList(text('SLUICE_CONSOLE_ROLES')).map(entry => {
    const at = entry.lastIndexOf('=');
    if (at < 1)
      throw new ConfigurationError(
        `SLUICE_CONSOLE_ROLES must be a list such as sre=operator,leads=admin; ${JSON.stringify(entry)} has no name.`,
      );
    return [entry.slice(0, at).trim(), readRole('SLUICE_CONSOLE_ROLES', entry.slice(at + 1).trim())] as const;
  });
  const roles = new Map<string, Role>(entries.length > 0 ? entries : ROLES.map(role => [role, role]));
  if (!hasSource && !roles.has('*'))
    throw new ConfigurationError(
      `Nobody would have a role; set ${source}, or give everybody who is authenticated a role, such as SLUICE_CONSOLE_ROLES=*=viewer.`,
    );
  return roles;
}

function readOpenId(text: Text, secret: (name: string) => Password | undefined): OpenIdLogin | undefined {
  const issuer = text('SLUICE_OPENID_ISSUER');
  const clientId = text('SLUICE_OPENID_CLIENT_ID');
  if (issuer === undefined && clientId === undefined) return undefined;
  if (issuer === undefined || clientId === undefined)
    throw new ConfigurationError(
      'SLUICE_OPENID_ISSUER and SLUICE_OPENID_CLIENT_ID belong together; set both or neither.',
    );
  const url = URL.parse(issuer);
  const isEncrypted = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(hostOf(url)));
  if (!url || !isEncrypted)
    throw new ConfigurationError('SLUICE_OPENID_ISSUER must be a URL that begins with https://.');
  const roleClaim = text('SLUICE_OPENID_ROLE_CLAIM');
  return {
    issuer,
    clientId,
    clientSecret: secret('SLUICE_OPENID_CLIENT_SECRET'),
    scopes: withDefault(text, 'SLUICE_OPENID_SCOPES'),
    userClaim: withDefault(text, 'SLUICE_OPENID_USER_CLAIM'),
    roleClaim,
    roles: readRoles(text, roleClaim !== undefined, 'SLUICE_OPENID_ROLE_CLAIM'),
  };
}

function readPrometheus(given: string | undefined): PrometheusServer | undefined {
  if (given === undefined) return undefined;
  const url = URL.parse(given);
  const login = url === null ? undefined : decoded(`${url.username}:${url.password}`);
  // The text is not shown: it may have a password.
  if (!url || login === undefined || !/^https?:$/.test(url.protocol))
    throw new ConfigurationError('SLUICE_PROMETHEUS_URL must be a URL such as http://prometheus:9090.');
  url.username = '';
  url.password = '';
  return {
    url: url.href.replace(/\/$/, ''),
    authorization: login === ':' ? undefined : `Basic ${Buffer.from(login).toString('base64')}`,
  };
}

/** Undefined if the text is not valid in a URL. */
function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
