// Tokens for the login to RDS, compared with those of AWS's library, and their settings in the environment.

import { expect, it } from 'vitest';
import { readConfig } from '../../src/shared/config/config.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { rdsAuthorities, rdsToken } from '../../src/shared/mysql/rds-login.ts';

const target = {
  host: 'sluice.proxy-abcdefghijkl.eu-west-1.rds.amazonaws.com',
  port: 3306,
  user: 'sluice@app',
  region: 'eu-west-1',
};
const keys = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };
const noon = Date.parse('2026-11-21T12:00:00Z');

it('tokens are those of @aws-sdk/rds-signer 3.1169.0, letter by letter', () => {
  const common =
    'sluice.proxy-abcdefghijkl.eu-west-1.rds.amazonaws.com:3306/?Action=connect&DBUser=sluice%40app' +
    '&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261121%2Feu-west-1%2Frds-db%2Faws4_request' +
    '&X-Amz-Date=20261121T120000Z&X-Amz-Expires=900';
  const parts = (token: string) => token.split('&').sort();
  expect(parts(rdsToken(target, keys, noon))).toEqual(
    parts(
      `${common}&X-Amz-Signature=99239c9cd62c0ea28271e4075e6287f299f45eb03200e1c47392f5e80b346de5&X-Amz-SignedHeaders=host`,
    ),
  );
  const sessionToken = 'IQoJb3JpZ2luX2VjEXAMPLE+/==';
  expect(parts(rdsToken(target, { ...keys, sessionToken }, noon))).toEqual(
    parts(
      `${common}&X-Amz-Security-Token=IQoJb3JpZ2luX2VjEXAMPLE%2B%2F%3D%3D&X-Amz-Signature=b9d31d4d2ab7ab1c7a5f028d5fc82bbdb4451ac3ff0fdf0e16fb6d588dfc63cd&X-Amz-SignedHeaders=host`,
    ),
  );
});

it('the certificates of RDS and of RDS Proxy are included', () => {
  const authorities = rdsAuthorities();
  expect(authorities.length).toBeGreaterThan(50);
  for (const authority of authorities) expect(authority).toMatch(/^-----BEGIN CERTIFICATE-----/);
});

const mysql = { MYSQL_URL: 'mysql://sluice@m:3306/app', MYSQL_IAM_AUTH: '1' };
const role = { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: '/v2/credentials/x' };

it('credentials are those given, or those of the task', () => {
  const region = { AWS_REGION: 'eu-west-1' };
  expect(readConfig({ ...mysql, ...region, ...role }).mysql.rdsLogin).toEqual({
    region: 'eu-west-1',
    credentials: { url: 'http://169.254.170.2/v2/credentials/x' },
  });
  const given = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b', AWS_SESSION_TOKEN: 'c' };
  expect(readConfig({ ...mysql, ...region, ...role, ...given }).mysql.rdsLogin?.credentials).toEqual({
    accessKeyId: 'a',
    secretAccessKey: 'b',
    sessionToken: 'c',
  });
  expect(readConfig({ ...mysql, MYSQL_IAM_AUTH: '0' }).mysql.rdsLogin).toBeUndefined();
});

it('settings that cannot work are refused', () => {
  const read = (environment: Record<string, string>) => () => readConfig({ ...mysql, ...environment }).mysql;
  expect(read(role)).toThrow(/AWS_REGION/);
  expect(read({ AWS_REGION: 'eu-west-1' })).toThrow(/AWS_CONTAINER_CREDENTIALS_RELATIVE_URI/);
  expect(read({ ...role, AWS_REGION: 'eu-west-1', MYSQL_TLS: 'no' })).toThrow(
    /MYSQL_TLS must be 1, 0 or rds/,
  );
  const limits = { connections: 1, idleTransactionSeconds: 5, lockWaitSeconds: 5 };
  const rdsLogin = { region: 'eu-west-1', credentials: keys };
  for (const url of ['mysql://sluice:secret@m/app', 'mysql://m/app'])
    expect(() => new Database({ url, rdsLogin }, limits)).toThrow(/MYSQL_IAM_AUTH=1 needs a user/);
});
