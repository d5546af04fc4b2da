// `sluice serve` and `sluice keys` as processes: their start, their log, their end.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { get } from 'node:https';
import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { makeCertificates } from '../../scripts/servers/certificates.ts';
import { jsonLines, openDeployment, startedLine } from '../support/command.ts';
import { until } from '../support/engine.ts';

const definitions = { counters: { page_views: {} }, points: { loyalty: {} } } as const;
const CREATE = ['keys', 'create'];

it('serves, says that it stops, finishes open requests, and exits 0', async () => {
  const deployment = await openDeployment(definitions);
  const drainMs = 3000;
  const api = await deployment.serve({ SLUICE_DRAIN_MS: String(drainMs) });
  const headers = { authorization: `Bearer ${api.key}`, 'content-type': 'application/json' };
  const count = () =>
    fetch(`${api.base}/v1/counters/page_views`, { method: 'POST', headers, body: '{"key":"/secret-page"}' });
  expect((await count()).status).toBe(200);
  const ready = await fetch(`${api.healthBase}/readyz`);
  expect(await ready.json()).toEqual({
    ready: true,
    state: 'serving',
    redis: 'connected',
    database: 'connected',
  });
  expect(await (await fetch(`${api.healthBase}/metrics`)).text()).toMatch(
    /^sluice_accepted_updates_total\{duplicate="false"\} 1$/m,
  );
  expect(
    (await deployment.sluice(['health', '--ready'], { SLUICE_HTTP_PORT: new URL(api.healthBase).port })).code,
  ).toBe(0);
  api.child.kill('SIGTERM');
  await until(
    async () => (await fetch(`${api.healthBase}/readyz`)).status === 503,
    'that it says that it stops',
  );
  const late = await count();
  expect(late.status).toBe(200);
  expect(late.headers.get('connection')).toBe('close');
  const { code, stdout } = await api.ended;
  expect({ code, last: jsonLines(stdout).at(-1)!.msg }).toEqual({ code: 0, last: 'API stopped' });
  // Neither a key nor what it counts is in the log.
  expect(stdout).not.toContain(api.key);
  expect(stdout).not.toContain('secret-page');
  await deployment.worker();
  expect((await deployment.sluice(['drain'])).code).toBe(0);
  const [row] = await deployment.database.query('SELECT value FROM sluice_counters');
  expect(String(row?.value)).toBe('2');
});

it('cuts what does not end before its deadline, and exits 1', async () => {
  const deployment = await openDeployment(definitions);
  const api = await deployment.serve({ SLUICE_DRAIN_MS: '0', SLUICE_SHUTDOWN_DEADLINE_MS: '500' });
  const agent = new Agent({ keepAlive: true });
  const { port } = new URL(api.base);
  const headers = {
    authorization: `Bearer ${api.key}`,
    'content-type': 'application/json',
    'content-length': 100,
  };
  const open = request({ port, agent, method: 'POST', path: '/v1/updates', headers });
  const cut = new Promise(resolve => open.on('error', resolve));
  await new Promise<void>(resolve => open.write('[', () => resolve()));
  expect((await fetch(`${api.base}/v1`)).status).toBe(401);
  api.child.kill('SIGTERM');
  expect((await api.ended).code).toBe(1);
  await cut;
  agent.destroy();
});

it('connections that sent nothing do not hold up its end, and are no open requests', async () => {
  const deployment = await openDeployment(definitions);
  const { certFile, keyFile } = await makeCertificates(`${deployment.folder}/tls`);
  const tls: Record<string, string> = { SLUICE_TLS_CERT: certFile, SLUICE_TLS_KEY: keyFile };
  for (const more of [{}, tls]) {
    const api = await deployment.serve({ ...more, SLUICE_DRAIN_MS: '1000' });
    const client = connect(Number(new URL(api.base).port), '127.0.0.1').on('error', () => {});
    await once(client, 'connect');
    api.child.kill('SIGTERM');
    const { code, stdout } = await api.ended;
    expect({ code, last: jsonLines(stdout).at(-1)!.msg }).toEqual({ code: 0, last: 'API stopped' });
    client.destroy();
  }
});

it('does not open itself to others while there is no key', async () => {
  const deployment = await openDeployment(definitions);
  const more = { SLUICE_API_HOST: '0.0.0.0', SLUICE_API_PORT: '0' };
  const refused = await deployment.sluice(['serve'], more);
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringMatching(/no key yet.*sluice keys create/) });
  expect((await deployment.sluice([...CREATE, 'shop', '--scope', 'read'])).code).toBe(0);
  const api = deployment.start(['serve'], more);
  expect(await startedLine(api, '"API started"')).toMatchObject({ host: '0.0.0.0', tls: false });
});

it('keys are printed once, listed without their secrets, and revoked', async () => {
  const deployment = await openDeployment(definitions);
  const made = await deployment.sluice([
    ...CREATE,
    'shop',
    '--scope',
    'read',
    '--scope',
    'write',
    '--expires',
    '90d',
  ]);
  expect(made.stdout).toMatch(/^sluice_[0-9A-Za-z]{10}_[0-9A-Za-z]{38}\n$/);
  const json = await deployment.sluice([
    ...CREATE,
    'cron',
    '--scope',
    'write',
    '--counter',
    'page_views',
    '--json',
  ]);
  const { id, key } = JSON.parse(json.stdout);
  expect(Object.keys(JSON.parse(json.stdout))).toEqual(['id', 'key']);
  const listed = await deployment.sluice(['keys', 'list', '--json']);
  expect(JSON.parse(listed.stdout).keys).toMatchObject([
    {
      id,
      name: 'cron',
      state: 'live',
      scopes: ['write'],
      counters: ['page_views'],
      programs: [],
      lastUsedAt: null,
    },
    { name: 'shop', state: 'live', scopes: ['read', 'write'] },
  ]);
  expect(listed.stdout).not.toContain(key.split('_')[2]);
  expect((await deployment.sluice(['keys', 'revoke', id])).code).toBe(0);
  expect((await deployment.sluice(['keys', 'list'])).stdout).toMatch(
    new RegExp(`^${id} +cron +revoked +write +page_views`, 'm'),
  );
  for (const [args, code, said] of [
    [['keys', 'revoke', 'nope'], 1, /there is no key "nope"/],
    [[...CREATE, 'x', '--scope', 'read', '--counter', 'page_veiws'], 2, /UNKNOWN_COUNTER/],
  ] as const) {
    const outcome = await deployment.sluice([...args]);
    expect(outcome, args.join(' ')).toMatchObject({ code, stderr: expect.stringMatching(said) });
  }
});

it('answers HTTPS if it has a certificate', async () => {
  const deployment = await openDeployment(definitions);
  const { certFile, keyFile, caFile } = await makeCertificates(`${deployment.folder}/tls`);
  const api = await deployment.serve({ SLUICE_TLS_CERT: certFile, SLUICE_TLS_KEY: keyFile });
  const status = await new Promise((resolve, reject) => {
    const url = `${api.base.replace('http:', 'https:')}/v1/counters/page_views?key=a`;
    get(url, { ca: readFileSync(caFile), headers: { authorization: `Bearer ${api.key}` } }, response => {
      response.resume();
      resolve(response.statusCode);
    }).on('error', reject);
  });
  expect(status).toBe(200);
  await expect(fetch(`${api.base}/v1`)).rejects.toThrow();
});
