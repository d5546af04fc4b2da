// A pool of connections to MySQL: what it keeps, and what its sessions share.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, inject, it } from 'vitest';
import { Database } from '../../src/shared/mysql/database.ts';
import { cleanUp } from '../support/cleanup.ts';
import { until } from '../support/engine.ts';
import { openProxy } from '../support/proxy.ts';

const limits = { connections: 4, idleTransactionSeconds: 30, lockWaitSeconds: 5 };

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

const SESSIONS = 200;

it('a pool keeps no reference to what it has lent', async () => {
  const database = new Database({ url: `${inject('mysqlUrl')}/mysql` }, limits);
  cleanUp(() => database.close());
  const lent: WeakRef<object>[] = [];
  for (let session = 0; session < SESSIONS; session++)
    await database.session(async connection => {
      lent.push(new WeakRef(Object.getPrototypeOf(connection)));
    });
  const kept = () => lent.filter(reference => reference.deref() !== undefined).length;
  await until(async () => {
    collectGarbage();
    return kept() <= limits.connections;
  }, 'what was lent to be forgotten');
  expect(lent).toHaveLength(SESSIONS);
});

it('sessions that begin at once share what one of them has learnt of the server, and need it no second time', async () => {
  let shows = 0;
  const proxy = await openProxy(`${inject('mysqlUrl')}/mysql`, data => {
    if (data.includes('SHOW SESSION VARIABLES')) shows++;
    return data;
  });
  const database = new Database({ url: proxy.url }, limits);
  cleanUp(() => database.close());
  // Each session is held until all have begun.
  const all = Promise.withResolvers<void>();
  let begun = 0;
  const session = () =>
    database.session(async () => {
      if (++begun === limits.connections) all.resolve();
      await all.promise;
    });
  await Promise.all(Array.from({ length: limits.connections }, session));
  expect([begun, shows]).toEqual([limits.connections, 1]);
  proxy.refuse();
  proxy.open();
  await until(
    () =>
      database.query('SELECT 1').then(
        () => true,
        () => false,
      ),
    'a new session',
  );
  expect(shows).toBe(1);
});

it('a session learns by itself if the one that it waited for was lost', async () => {
  let shows = 0;
  const proxy = await openProxy(`${inject('mysqlUrl')}/mysql`, data => {
    // The first question is lost with its connection.
    if (data.includes('SHOW SESSION VARIABLES') && ++shows === 1)
      proxy.silenceAfter('show session variables');
    return data;
  });
  const database = new Database({ url: proxy.url }, { ...limits, statementTimeoutMs: 1000 });
  cleanUp(() => database.close());
  const answers = await Promise.allSettled([database.query('SELECT 1'), database.query('SELECT 1')]);
  expect(answers.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  expect(shows).toBe(2);
});
