/** Parses REDIS_URL and the settings that override its parts. */
import { isIPv6 } from 'node:net';
import { ConfigurationError } from '../errors.ts';
import { currentPassword, type Password } from '../password.ts';

export interface RedisLocation {
  /** `redis[s]://HOST:PORT/NUMBER`, `redis[s]+cluster://h1,h2` or `redis[s]+sentinel://h1,h2/NAME/NUMBER`. */
  url: string;
  /** Override the URL's user and password. A function is called for each connection. */
  username?: string | undefined;
  password?: Password | undefined;
  /** User of the Sentinels, which is not the URL's. */
  sentinelUsername?: string | undefined;
  sentinelPassword?: Password | undefined;
  /** PEM file of the certificate's authority, if the system does not know it. */
  caFile?: string | undefined;
}

interface ParsedUrl {
  scheme: 'single' | 'cluster' | 'sentinel';
  secure: boolean;
  hosts: { host: string; port: number }[];
  options: { username?: string; password?: string; db?: number };
  /** The Sentinels' name of the primary; '' without Sentinels. */
  name: string;
}

const FORMS =
  'redis://HOST:PORT/NUMBER, redis+cluster://HOST:PORT,HOST:PORT or redis+sentinel://HOST:PORT,HOST:PORT/NAME/NUMBER, ' +
  'with rediss in place of redis for TLS';
/** Highest number that Redis accepts. Whether the server has that database shows on connecting. */
const HIGHEST_DATABASE = 2 ** 31 - 1;
const HIGHEST_PORT = 65_535;

/** @throws ConfigurationError if the URL has no known form; its message has nothing that may be a password */
export function parseRedisUrl(location: RedisLocation): ParsedUrl {
  const match = /^redis(s?)(?:\+(cluster|sentinel))?:\/\/(?:([^@/]*)@)?([^/]*)(?:\/(.*))?$/s.exec(
    location.url,
  );
  if (!match) throw new ConfigurationError(`REDIS_URL must be ${FORMS}.${hint(location.url)}`);
  const [, secure, kind, credentials = '', hostList = '', path = ''] = match;
  if (/[?#]/.test(hostList + path))
    throw new ConfigurationError(
      'REDIS_URL contains "?" or "#", but takes no options. Write the database number after the host ' +
        '(redis://HOST:PORT/1), set everything else with variables, and write %3F or %23 in a password.',
    );
  const scheme = (kind ?? 'single') as ParsedUrl['scheme'];
  const hosts = hostList
    .split(',')
    .map(text => parseHost(text.trim(), scheme === 'sentinel' ? 26_379 : 6379));
  if (scheme === 'single' && hosts.length > 1)
    throw new ConfigurationError('REDIS_URL names several hosts; use redis+cluster:// or redis+sentinel://.');
  const colon = credentials.indexOf(':');
  const username = location.username ?? decodePart(colon < 0 ? credentials : credentials.slice(0, colon));
  const password = location.password ?? (colon < 0 ? '' : decodePart(credentials.slice(colon + 1)));
  const { name, db } = scheme === 'sentinel' ? parseName(path) : { name: '', db: parseDatabase(path) };
  if (scheme === 'cluster' && db > 0)
    throw new ConfigurationError(
      'REDIS_URL has a database number, but a Cluster has only database 0; leave the number out and set SLUICE_NAMESPACE.',
    );
  return {
    scheme,
    secure: secure === 's',
    hosts,
    options: {
      ...(username ? { username } : {}),
      ...(password ? { password: currentPassword(password) } : {}),
      ...(db > 0 ? { db } : {}),
    },
    name,
  };
}

function hint(url: string): string {
  return /^(?:[a-z+]*unix|[a-z+]*socket):|^\/|^\.\//i.test(url) ? ' A Unix socket cannot be used.' : '';
}

function parseHost(text: string, defaultPort: number): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^\s:@[\]%\\<>"'|^`{}]+))(?::(\d*))?$/.exec(text);
  const [, bracketed, plain, portText] = match ?? [];
  // The text is not shown, since it may be a part of the password.
  if (!match || (bracketed !== undefined && !isIPv6(bracketed)))
    throw new ConfigurationError(
      'REDIS_URL contains a host that cannot be read; percent-encode special characters in the password, and write an ' +
        'IPv6 address in brackets: redis://[::1]:6379.',
    );
  const port = portText === undefined ? defaultPort : Number(portText || Number.NaN);
  if (!(port >= 1 && port <= HIGHEST_PORT))
    throw new ConfigurationError(
      `REDIS_URL contains a port that is not a number from 1 to ${HIGHEST_PORT}; percent-encode special characters in the password.`,
    );
  return { host: bracketed ?? plain!, port };
}

/** `NAME` or `NAME/NUMBER`, with the characters that Sentinels allow. */
function parseName(path: string): { name: string; db: number } {
  const [, name, number = ''] = /^([A-Za-z0-9._-]+)(?:\/([^/]*))?$/.exec(path) ?? [];
  if (name === undefined)
    throw new ConfigurationError(
      'REDIS_URL must end with the name that the Sentinels have for the primary, and optionally a database number: ' +
        'redis+sentinel://HOST/NAME or redis+sentinel://HOST/NAME/1.',
    );
  return { name, db: parseDatabase(number) };
}

function parseDatabase(text: string): number {
  if (text === '') return 0;
  const db = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (db <= HIGHEST_DATABASE) return db;
  throw new ConfigurationError(
    `REDIS_URL has a database number that is not a whole number from 0 to ${HIGHEST_DATABASE}; percent-encode special characters in the password.`,
  );
}

function decodePart(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ConfigurationError(
      'REDIS_URL contains a "%" that is not followed by two hexadecimal digits; write it as %25.',
    );
  }
}

/** Hosts, ports and path without credentials, for errors and logs. */
export function redisAddress(location: RedisLocation): string {
  return location.url.replace(/^[^/]*\/\/(?:[^@/]*@)?/, '');
}
