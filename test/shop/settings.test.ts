// Settings of the example shop that decide whether a password is sent to the right server.

import { expect, it } from 'vitest';
import { openShop } from '../support/shop.ts';

it('the example sends its MySQL password only to a server whose certificate it can verify', async () => {
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
});
