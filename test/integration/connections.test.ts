// A connection to MySQL that was given back to the pool leaves nothing in memory.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, inject, it } from 'vitest';
import { Database } from '../../src/shared/mysql/database.ts';
import { cleanUp } from '../support/cleanup.ts';
import { until } from '../support/engine.ts';

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

const SESSIONS = 200;

it('a pool keeps no reference to what it has lent', async () => {
  const limits = { connections: 4, idleTransactionSeconds: 30, lockWaitSeconds: 5 };
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
