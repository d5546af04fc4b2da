/** Where a Redis is: the URL, what overrides its parts, and what of it may be shown. */
import { ConfigurationError } from './errors.ts';

export interface RedisLocation {
  /** `redis[s]://`, `redis[s]+cluster://h1,h2` or `redis[s]+sentinel://h1,h2/name`. */
  url: string;
  /** Overrides the URL's part. */
  username?: string | undefined;
  password?: string | undefined;
  /** PEM file of the authority that signed the server's certificate, where the system does not know it. */
  caFile?: string | undefined;
}

interface ParsedUrl {
  scheme: 'single' | 'cluster' | 'sentinel';
  secure: boolean;
  hosts: { host: string; port: number }[];
  options: { username?: string; password?: string; db?: number };
  path: string;
}

/** @throws ConfigurationError where the URL is not of a known form */
export function parseRedisUrl(location: RedisLocation): ParsedUrl {
  const match = /^redis(s?)(?:\+(cluster|sentinel))?:\/\/(?:([^@/]*)@)?([^/?]+)(?:\/([^?]*))?$/.exec(
    location.url,
  );
  if (!match) {
    throw new ConfigurationError(
      'REDIS_URL must be redis://HOST:PORT, rediss://HOST:PORT, redis+cluster://HOST:PORT,HOST:PORT or redis+sentinel://HOST:PORT,HOST:PORT/NAME.',
    );
  }
  const [, secure, kind, credentials = '', hostList = '', path = ''] = match;
  const scheme = (kind ?? 'single') as ParsedUrl['scheme'];
  const hosts = hostList.split(',').map(text => {
    // What cannot be read may be a part of the password, so it is not shown.
    const host = /^(\[[^\]]+\]|[^:@]+)(?::(\d+))?$/.exec(text.trim());
    if (!host)
      throw new ConfigurationError(
        'REDIS_URL holds a host that cannot be read; special characters in the password must be percent-encoded.',
      );
    return {
      host: host[1]!.replace(/^\[|\]$/g, ''),
      port: Number(host[2] ?? (scheme === 'sentinel' ? 26379 : 6379)),
    };
  });
  if (scheme === 'single' && hosts.length > 1)
    throw new ConfigurationError('REDIS_URL names several hosts; use redis+cluster:// or redis+sentinel://.');
  if (scheme === 'sentinel' && path === '')
    throw new ConfigurationError(
      'REDIS_URL must end with the name of the primary: redis+sentinel://HOST/NAME.',
    );
  const colon = credentials.indexOf(':');
  const username = location.username ?? decodePart(colon < 0 ? credentials : credentials.slice(0, colon));
  const password = location.password ?? (colon < 0 ? '' : decodePart(credentials.slice(colon + 1)));
  const db = scheme === 'single' && path !== '' ? Number(path) : 0;
  if (!Number.isInteger(db)) throw new ConfigurationError('REDIS_URL has a database that is not a number.');
  return {
    scheme,
    secure: secure === 's',
    hosts,
    options: {
      ...(username ? { username } : {}),
      ...(password ? { password } : {}),
      ...(db > 0 ? { db } : {}),
    },
    path,
  };
}

function decodePart(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ConfigurationError(
      'REDIS_URL holds a "%" that is not followed by two hexadecimal digits; write %25.',
    );
  }
}

/** Host and port of a location, without credentials: what errors and logs may show. */
export function redisPlace(location: RedisLocation): string {
  return location.url.replace(/^[^/]*\/\/(?:[^@/]*@)?/, '');
}
