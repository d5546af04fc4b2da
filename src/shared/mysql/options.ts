/** Options of a connection to one MySQL host: encodings, encryption, login. */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { ConnectionOptions } from 'mysql2/promise';
import { currentPassword, keepCurrent } from '../password.ts';
import { rdsAuthorities, rdsAuthPlugins } from './rds-login.ts';
import type { Address, MysqlLocation, ParsedMysqlUrl } from './url.ts';

const CONNECT_TIMEOUT_MS = 5000;

export function connectionOptions(
  location: MysqlLocation,
  { user, password, database }: ParsedMysqlUrl,
  { host, port }: Address,
): ConnectionOptions {
  const options: ConnectionOptions = {
    host,
    port,
    user,
    password: currentPassword(password),
    database,
    charset: 'utf8mb4',
    timezone: 'Z',
    supportBigNumbers: true,
    bigNumberStrings: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    // Sluice prepares no statements, and mysql2 reserves half a megabyte for its default of 16,000.
    maxPreparedStatements: 1,
    ...encryption(location, host),
    ...(location.rdsLogin ? { authPlugins: rdsAuthPlugins(location.rdsLogin, { host, port, user }) } : {}),
  };
  keepCurrent(options, 'password', password);
  return options;
}

/** Without `verifyIdentity`, mysql2 accepts any certificate of the authority. It cannot verify addresses. */
function encryption({ caFile, tls, rdsLogin }: MysqlLocation, host: string): Pick<ConnectionOptions, 'ssl'> {
  const verifyIdentity = isIP(host) === 0;
  if (caFile) return { ssl: { ca: readFileSync(caFile), verifyIdentity } };
  if (tls === 'rds' || rdsLogin) return { ssl: { ca: rdsAuthorities(), verifyIdentity: true } };
  return tls ? { ssl: { verifyIdentity } } : {};
}
