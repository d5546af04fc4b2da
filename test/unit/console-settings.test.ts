// What the variables of the console may say.

import { expect, it } from 'vitest';
import { readConfig } from '../../src/shared/config/config.ts';

const PROXY = { SLUICE_CONSOLE_USER_HEADER: 'X-Forwarded-User', SLUICE_CONSOLE_USER_PROXIES: '10.0.0.7' };
const OPENID = { SLUICE_OPENID_ISSUER: 'https://login.example.com', SLUICE_OPENID_CLIENT_ID: 'sluice' };

it('without any of them, the console is for this machine only', () => {
  expect(readConfig({}).console).toEqual({
    host: '127.0.0.1',
    port: 9466,
    origins: [],
    tls: undefined,
    trustedProxies: [],
    proxy: undefined,
    openid: undefined,
    payloads: 'viewer',
    sessionMs: 12 * 60 * 60 * 1000,
    prometheus: undefined,
  });
  expect(readConfig({ SLUICE_CONSOLE_PORT: 'tcp://10.0.0.1:80' }).console.port).toBe(9466);
});

it('a proxy, OpenID Connect and Prometheus are read whole', () => {
  expect(
    readConfig({ ...PROXY, SLUICE_CONSOLE_ROLES: '*=viewer, sre = operator' }).console.proxy,
  ).toMatchObject({
    userHeader: 'x-forwarded-user',
    roleHeader: undefined,
    proxies: ['10.0.0.7'],
    roles: new Map([
      ['*', 'viewer'],
      ['sre', 'operator'],
    ]),
  });
  expect(readConfig({ ...OPENID, SLUICE_OPENID_ROLE_CLAIM: 'groups' }).console.openid).toMatchObject({
    issuer: 'https://login.example.com',
    clientSecret: undefined,
    userClaim: 'email',
    roleClaim: 'groups',
    roles: new Map([
      ['viewer', 'viewer'],
      ['operator', 'operator'],
      ['admin', 'admin'],
    ]),
  });
  expect(
    readConfig({ SLUICE_PROMETHEUS_URL: 'https://a:b%3A@prom.example.com/p/' }).console.prometheus,
  ).toEqual({
    url: 'https://prom.example.com/p',
    authorization: `Basic ${Buffer.from('a:b:').toString('base64')}`,
  });
});

it.each([
  [{ SLUICE_CONSOLE_PORT: 'x' }, /SLUICE_CONSOLE_PORT must be a number from 0/],
  [{ SLUICE_CONSOLE_HOST: '0.0.0.0' }, /set SLUICE_CONSOLE_ORIGINS to the address that browsers use/],
  [{ SLUICE_CONSOLE_ORIGINS: 'https://a.example/' }, /"https:\/\/a.example\/" is none/],
  [{ SLUICE_CONSOLE_ORIGINS: 'https://A.example' }, /"https:\/\/A.example" is none/],
  [{ SLUICE_CONSOLE_ORIGINS: 'a.example' }, /"a.example" is none/],
  [{ SLUICE_CONSOLE_ORIGINS: 'http://a.example' }, /only under HTTPS/],
  [{ SLUICE_CONSOLE_USER_HEADER: 'X-User' }, /needs SLUICE_CONSOLE_USER_PROXIES/],
  [{ SLUICE_CONSOLE_USER_PROXIES: '10.0.0.7' }, /need SLUICE_CONSOLE_USER_HEADER/],
  [PROXY, /set SLUICE_CONSOLE_ROLE_HEADER, or/],
  [{ ...PROXY, SLUICE_CONSOLE_USER_PROXIES: 'proxy' }, /USER_PROXIES must be a list of addresses/],
  [{ ...PROXY, SLUICE_CONSOLE_USER_HEADER: 'X User' }, /must be the name of a header/],
  [{ ...PROXY, SLUICE_CONSOLE_ROLES: '*=root' }, /roles viewer, operator, admin, not "root"/],
  [{ ...PROXY, SLUICE_CONSOLE_ROLES: 'viewer' }, /"viewer" has no name/],
  [{ SLUICE_CONSOLE_PAYLOADS: 'nobody' }, /SLUICE_CONSOLE_PAYLOADS must have one of the roles/],
  [{ SLUICE_CONSOLE_SESSION_MS: '1' }, /SLUICE_CONSOLE_SESSION_MS must be a whole number from 60000/],
  [{ SLUICE_PROMETHEUS_URL: 'prometheus:9090' }, /SLUICE_PROMETHEUS_URL must be a URL/],
  [{ SLUICE_PROMETHEUS_URL: 'http://a:%@p' }, /SLUICE_PROMETHEUS_URL must be a URL/],
  [{ SLUICE_OPENID_ISSUER: 'https://a' }, /belong together/],
  [OPENID, /set SLUICE_OPENID_ROLE_CLAIM, or/],
  [{ ...OPENID, SLUICE_OPENID_ISSUER: 'http://a' }, /begins with https/],
  [{ ...OPENID, ...PROXY, SLUICE_CONSOLE_ROLES: '*=viewer' }, /leave one out/],
])('%j is refused', (environment, said) => {
  expect(() => readConfig(environment).console).toThrow(said);
});
