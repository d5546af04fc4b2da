// Settings of the example shop that the rest of its deployment must agree with.

import { expect, it } from 'vitest';
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
