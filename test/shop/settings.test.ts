// Settings of the example shop that the rest of its deployment must agree with.

import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, it } from 'vitest';
import { freePort } from '../../scripts/servers.ts';
import { cleanUp } from '../support/cleanup.ts';
import { openShop } from '../support/shop.ts';

it('the example refuses a MySQL that it cannot verify, before it sends its password, and other partitions than workers have', async () => {
  const shop = await openShop();
  // The server of the tests has a certificate of its own making.
  const migrate = (tls: string) => shop.begin('migrate', { MYSQL_TLS: tls }).ended;
  const [rds, node, mistyped] = await Promise.all(['rds', '1', 'RDS'].map(migrate));
  for (const ended of [rds, node]) {
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining('HANDSHAKE_SSL_ERROR') });
    expect(ended?.stderr).toMatch(/self-signed certificate/);
  }
  expect(mistyped).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('MYSQL_TLS must be 0, 1 or rds, not "RDS".'),
  });
  expect(await shop.begin('main', { SLUICE_PARTITIONS: '3' }).ended).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('PARTITION_COUNT_MISMATCH'),
  });
});

it('a process whose port another one has ends, and says which variable to set', async () => {
  const shop = await openShop();
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  cleanUp(() => void other.close());
  const taken = String((other.address() as AddressInfo).port);
  const free = String(await freePort());
  for (const [program, name, ports] of [
    ['jobs', 'METRICS_PORT', { METRICS_PORT: taken }],
    ['main', 'METRICS_PORT', { METRICS_PORT: taken, PORT: free }],
    ['main', 'PORT', { METRICS_PORT: free, PORT: taken }],
  ] as const)
    expect(await shop.begin(program, ports).ended, name).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`Another process has port ${taken}; set ${name} to another one.`),
    });
});
