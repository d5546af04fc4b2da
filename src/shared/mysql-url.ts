/** Where a MySQL is: the URL, what overrides its parts, and how the connection is encrypted and logged in. */
import { ConfigurationError } from './errors.ts';
import type { RdsLogin } from './rds-login.ts';

export interface MysqlLocation {
  /** `mysql://user:password@host:port/database` */
  url: string;
  /** Overrides the URL's part. */
  user?: string | undefined;
  password?: string | undefined;
  /** Encrypts the connection and verifies the server's certificate, with `rds` by the authorities of Amazon RDS. */
  tls?: boolean | 'rds' | undefined;
  /** PEM file of the authority that signed the server's certificate; implies `tls`. */
  caFile?: string | undefined;
  /** Logs in to RDS or RDS Proxy with tokens in place of a password; implies `tls: 'rds'` where no `caFile` is given. */
  rdsLogin?: RdsLogin | undefined;
}

const ENCODING = ', with special characters in the password percent-encoded';

function decodePart(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ConfigurationError(
      'MYSQL_URL holds a "%" that is not followed by two hexadecimal digits; write %25.',
    );
  }
}

/** @throws ConfigurationError if the URL is malformed or names no database; the message never holds the URL */
export function parseMysqlUrl(location: MysqlLocation) {
  let url: URL;
  try {
    url = new URL(location.url);
  } catch {
    // Without its cause, which holds the URL and so the password.
    throw new ConfigurationError(`MYSQL_URL must be mysql://USER:PASSWORD@HOST:PORT/DATABASE${ENCODING}.`);
  }
  if (!['mysql:', 'mariadb:'].includes(url.protocol))
    throw new ConfigurationError('MYSQL_URL must start with mysql://.');
  if (
    url.search !== '' ||
    url.hash !== '' ||
    url.pathname.indexOf('/', 1) > 0 ||
    url.pathname.includes('@')
  ) {
    throw new ConfigurationError(
      `MYSQL_URL must end with the database; options behind "?" are not read${ENCODING}.`,
    );
  }
  const database = decodePart(url.pathname.slice(1));
  if (database === '')
    throw new ConfigurationError('MYSQL_URL must name a database: mysql://HOST:PORT/DATABASE.');
  const user = location.user ?? decodePart(url.username);
  const password = location.password ?? decodePart(url.password);
  if (location.rdsLogin && (user === '' || password !== ''))
    throw new ConfigurationError(
      'MYSQL_IAM_AUTH=1 needs a user, in MYSQL_URL or MYSQL_USER, and takes no password: the token is one.',
    );
  return {
    host: url.hostname.replace(/^\[|\]$/g, '') || '127.0.0.1',
    port: url.port ? Number(url.port) : 3306,
    user,
    password,
    database,
  };
}
