// Login with tokens, to a real MySQL behind a server that asks for them as RDS does.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { makeCertificates } from '../../scripts/servers/certificates.ts';
import { startMysql } from '../../scripts/servers.ts';
import { explain } from '../../src/shared/explain.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { migrate } from '../../src/shared/mysql/migrate.ts';
import { rdsToken } from '../../src/shared/mysql/rds-login.ts';
import { cleanUp } from '../support/cleanup.ts';
import { openRdsFront } from '../support/rds.ts';
import { temporaryFolder } from '../support/servers.ts';

const limits = { connections: 4, idleTransactionSeconds: 60, lockWaitSeconds: 5 };
const region = 'eu-west-1';
const secret = { accessKeyId: 'ASIAEXAMPLE', secretAccessKey: 'hidden', sessionToken: 'session/+=' };

/** The endpoint of ECS for the credentials of a task's role. */
async function credentialsEndpoint() {
  const state = { asked: 0, status: 200, lifeMs: 3_600_000 };
  const server = createServer((_, response) => {
    state.asked++;
    response.writeHead(state.status).end(
      JSON.stringify({
        RoleArn: 'arn:aws:iam::111122223333:role/worker',
        AccessKeyId: secret.accessKeyId,
        SecretAccessKey: secret.secretAccessKey,
        Token: secret.sessionToken,
        Expiration: new Date(Date.now() + state.lifeMs).toISOString(),
      }),
    );
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  cleanUp(() => server.close());
  return Object.assign(state, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v2/x` });
}

async function openRds(names?: string) {
  const folder = await temporaryFolder();
  const mysql = await startMysql({ flavour: 'mysql97', directory: join(folder, 'mysql') });
  cleanUp(() => mysql.discard());
  const admin = new Database({ url: `${mysql.url}/mysql` }, limits);
  await admin.query('CREATE DATABASE app');
  await admin.query("CREATE USER 'sluice'@'127.0.0.1'");
  await admin.query("GRANT ALL ON app.* TO 'sluice'@'127.0.0.1'");
  await admin.close();
  const certificates = await makeCertificates(join(folder, 'tls'), names);
  const endpoint = await credentialsEndpoint();
  const front = await openRdsFront(mysql.port, certificates, token => {
    // RDS computes the signature for the token's time, and compares it.
    const date = /X-Amz-Date=(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z/.exec(token)!;
    const [year, month, day, hour, minute, second] = date.slice(1).map(Number) as [number, ...number[]];
    const time = Date.UTC(year, month! - 1, day, hour, minute, second);
    const target = { host: 'localhost', port: front.port, user: 'sluice', region };
    return Math.abs(Date.now() - time) < 900_000 && token === rdsToken(target, secret, time);
  });
  const open = (url = `mysql://sluice@localhost:${front.port}/app`) => {
    const rdsLogin = { region, credentials: { url: endpoint.url } };
    const database = new Database({ url, caFile: certificates.caFile, rdsLogin }, limits);
    cleanUp(() => database.close());
    return database;
  };
  return { endpoint, front, open };
}

it('each connection logs in with a token of its own, from one set of credentials', async () => {
  const { endpoint, front, open } = await openRds();
  await migrate(open(), 4);
  const [logins, asked] = [front.tokens.length, endpoint.asked];
  const database = open();
  const users = await Promise.all(
    [1, 2, 3, 4].map(() => database.query('SELECT CURRENT_USER() AS name, SLEEP(0.2)')),
  );
  expect(users.map(rows => rows[0]!.name)).toEqual(Array(4).fill('sluice@127.0.0.1'));
  expect(front.tokens.length - logins).toBe(4);
  expect(endpoint.asked - asked).toBe(1);
});

it('a login reports missing credentials, and works once they are there', async () => {
  const { endpoint, front, open } = await openRds();
  const database = open();
  endpoint.status = 404;
  const failure = await database.query('SELECT 1').catch((error: unknown) => error);
  expect(explain(failure, 'redis', 'mysql')).toMatchObject({
    code: 'CREDENTIALS_UNAVAILABLE',
    retryable: true,
    message: expect.stringContaining('answered 404'),
  });
  expect(front.tokens).toEqual([]);
  endpoint.status = 200;
  expect(await database.query('SELECT 1 AS one')).toMatchObject([{ one: '1' }]);
});

it('valid credentials stay in use while they cannot be renewed', async () => {
  const { endpoint, open } = await openRds();
  endpoint.lifeMs = 60_000; // credentials are renewed earlier than that before their end
  const first = open();
  await first.query('SELECT 1');
  endpoint.status = 500;
  await Promise.all([1, 2].map(() => first.query('SELECT SLEEP(0.1)')));
  expect(endpoint.asked).toBeGreaterThan(1);
});

it('a login can be refused like any other, and sends no token to a server with another name', async () => {
  const { open, front } = await openRds();
  const stranger = open(`mysql://stranger@localhost:${front.port}/app`);
  const refused = await stranger.query('SELECT 1').catch((error: unknown) => error);
  expect(explain(refused, 'redis', 'mysql')).toMatchObject({ code: 'ACCESS_DENIED' });

  const impostor = await openRds('DNS:elsewhere.example');
  await expect(impostor.open().query('SELECT 1')).rejects.toThrow();
  expect(impostor.front.tokens).toEqual([]);
});
