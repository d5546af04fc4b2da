// The example shop while MySQL says nothing: how long callers wait for a connection, and what is written after it.

import { expect, it } from 'vitest';
import { until } from '../support/engine.ts';
import { ownServers } from '../support/servers.ts';
import { openShop } from '../support/shop.ts';

const CALLERS = 60;
const WAITING = 40;

it('nobody waits in a queue for a connection for long, nor is written after he has left', async () => {
  const { mysql, servers } = await ownServers();
  const shop = await openShop({ servers });
  const { call } = await shop.api({
    CONNECTIONS: '1',
    STATEMENT_MS: '2000',
    WAITING_STATEMENTS: String(WAITING),
  });
  const post = (body: string) => call('POST', '/posts', { user: 1, body });
  expect((await post('before')).status).toBe(201);

  mysql.kill('SIGSTOP');
  const begin = performance.now();
  const answers = await Promise.all(Array.from({ length: CALLERS }, () => post('late')));
  // One after another they would take two minutes.
  expect(performance.now() - begin).toBeLessThan(30_000);
  for (const { status, headers } of answers) expect([status, headers.get('retry-after')]).toEqual([503, '1']);
  const busy = answers.filter(({ body }) => body.code === 'DATABASE_BUSY');
  expect(busy.length).toBe(CALLERS - WAITING - 1);

  mysql.kill('SIGCONT');
  await until(async () => (await post('after')).status === 201, 'posts again');
  const rows = await shop.database.query("SELECT id FROM posts WHERE body = 'late'");
  // The one that MySQL was sent may be written.
  expect(rows.length).toBeLessThanOrEqual(1);
}, 240_000);
