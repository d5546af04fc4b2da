// SIGTERM under load: what the example shop has acknowledged is counted, and what it has not is refused cleanly.

import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { cleanUp } from '../support/cleanup.ts';
import { openShop } from '../support/shop.ts';

const CALLERS = 20;
const BEFORE = 200;

it('on SIGTERM under load, every acknowledged request is counted, and the process ends with code 0', async () => {
  const shop = await openShop();
  await shop.worker();
  const api = await shop.api({ CLOSING_MS: '3000' });
  // A client that connects and says nothing must not keep the process alive.
  const silent = connect(Number(new URL(api.base).port), '127.0.0.1');
  cleanUp(() => silent.destroy());
  let acknowledged = 0;
  let unknown = 0;
  let isStopping = false;
  const call = async (): Promise<boolean> => {
    const answer = await api.call('POST', '/pages/home/views').catch(() => undefined);
    if (answer?.status === 204) acknowledged++;
    // A connection that ended without an answer: the view may be counted.
    else if (answer === undefined) unknown++;
    if (acknowledged >= BEFORE && !isStopping) {
      isStopping = true;
      api.child.kill('SIGTERM');
    }
    return answer?.status === 204;
  };
  const caller = async () => {
    while (await call());
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  expect(await api.ended).toMatchObject({ code: 0, stderr: '' });
  expect(await shop.sluice(['drain'])).toMatchObject({ code: 0 });
  const [row] = await shop.database.query('SELECT value FROM sluice_counters WHERE counter_key = ?', [
    Buffer.from('home'),
  ]);
  const counted = Number(row!.value);
  expect(counted).toBeGreaterThanOrEqual(acknowledged);
  expect(counted).toBeLessThanOrEqual(acknowledged + unknown);
}, 120_000);
