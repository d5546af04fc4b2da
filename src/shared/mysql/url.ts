/** Parses MYSQL_URL, with one host or several, and the settings that override its parts. */
import { ConfigurationError } from '../errors.ts';
import type { Password } from '../password.ts';
import type { RdsLogin } from './rds-login.ts';

export interface MysqlLocation {
  /** `mysql://user:password@host:port/database`, or `host:port,host:port` for the members of one cluster. */
  url: string;
  /** Override the URL's user and password. A function is called for each connection. */
  user?: string | undefined;
  password?: Password | undefined;
  /** Encrypts the connection and verifies the certificate; `rds` trusts the authorities of Amazon RDS. */
  tls?: boolean | 'rds' | undefined;
  /** PEM file of the certificate's authority; implies `tls`. */
  caFile?: string | undefined;
  /** Logs in to RDS or RDS Proxy with tokens, not a password; implies `tls: 'rds'` without a `caFile`. */
  rdsLogin?: RdsLogin | undefined;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface ParsedMysqlUrl {
  /** In the order of preference; at least one. */
  readonly hosts: readonly Address[];
  readonly user: string;
  readonly password: Password;
  readonly database: string;
}

const DEFAULT_PORT = 3306;
const ENCODING = ', with special characters in the password percent-encoded';

/** @throws ConfigurationError if the URL is malformed or names no database; its message never has the URL */
export function parseMysqlUrl(location: MysqlLocation): ParsedMysqlUrl {
  const parts = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)(.*)$/is.exec(location.url.trim());
  if (!parts)
    throw new ConfigurationError(`MYSQL_URL must be mysql://USER:PASSWORD@HOST:PORT/DATABASE${ENCODING}.`);
  const [, scheme = '', authority = '', path = ''] = parts;
  if (!['mysql', 'mariadb'].includes(scheme.toLowerCase()))
    throw new ConfigurationError('MYSQL_URL must start with mysql://.');
  // A slash in a password ends the authority early, and the rest looks like a path with an "@".
  if (!/^(\/[^/?#@]*)?$/.test(path))
    throw new ConfigurationError(
      `MYSQL_URL must end with the name of the database, and takes no options after "?"${ENCODING}.`,
    );
  const database = decodePart(path.slice(1));
  if (database === '')
    throw new ConfigurationError('MYSQL_URL must name a database: mysql://HOST:PORT/DATABASE.');
  const at = authority.lastIndexOf('@');
  const login = at < 0 ? '' : authority.slice(0, at);
  const colon = login.indexOf(':');
  const user = location.user ?? decodePart(colon < 0 ? login : login.slice(0, colon));
  const password = location.password ?? (colon < 0 ? '' : decodePart(login.slice(colon + 1)));
  if (location.rdsLogin && (user === '' || password !== ''))
    throw new ConfigurationError(
      'MYSQL_IAM_AUTH=1 needs a user, in MYSQL_URL or MYSQL_USER, and no password, since a token replaces it.',
    );
  return { hosts: parseHosts(authority.slice(at + 1)), user, password, database };
}

/** HOST:PORT for errors and logs. */
export function nameOf({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function parseHosts(list: string): Address[] {
  const hosts = list === '' ? [{ host: '127.0.0.1', port: DEFAULT_PORT }] : list.split(',').map(parseHost);
  const names = hosts.map(nameOf);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice) throw new ConfigurationError(`MYSQL_URL names the host ${twice} twice; name it once.`);
  return hosts;
}

/** Errors do not show the text, since it may be a part of the password. */
function parseHost(text: string): Address {
  const parts = /^(?:\[([0-9a-f:.]+)\]|([^\s:@[\]%]+))(?::(\d{1,5}))?$/i.exec(text);
  const port = Number(parts?.[3] ?? DEFAULT_PORT);
  if (!parts || port < 1 || port > 65_535)
    throw new ConfigurationError(
      `MYSQL_URL contains a host that cannot be read; write HOST:PORT, or HOST:PORT,HOST:PORT for the members of one cluster${ENCODING}.`,
    );
  return { host: (parts[1] ?? parts[2])!.toLowerCase(), port };
}

function decodePart(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ConfigurationError(
      'MYSQL_URL contains a "%" that is not followed by two hexadecimal digits; write it as %25.',
    );
  }
}
