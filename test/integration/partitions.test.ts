// Changing the number of partitions with exactly the statements of docs/operating.md.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { createProducer } from '../../src/producer/producer.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { parseSettings } from '../../src/shared/config/settings.ts';
import { migrate } from '../../src/shared/mysql/migrate.ts';
import { Worker } from '../../src/worker/worker.ts';
import { definitions, openEngine, until } from '../support/engine.ts';
import { expectOpenSums } from '../support/holds.ts';

const page = readFileSync(new URL('../../docs/operating.md', import.meta.url), 'utf8');
const section = /\n## Changing the number of partitions\n([\s\S]*?)\n## /.exec(page)![1]!;
const blocks = [...section.matchAll(/```sql\n([\s\S]*?)```/g)].map(([, text]) => text!);

it.each([
  ['more', 3, 7],
  ['fewer', 7, 2],
])('%s partitions keep values, ledgers and their order, and holds', async (_, before, after) => {
  const engine = await openEngine({ partitions: before });
  const old = await engine.producer();
  const accounts = Array.from({ length: 20 }, (_, at) => `account ${at}`);
  const credit = (points: number, id: string) =>
    accounts.map(account => ({ points: 'loyalty', account, amount: points, id }) as const);
  for (const id of ['1', '2', '3']) {
    await old.apply([...credit(10, id), { counter: 'views', key: id }]);
    await engine.drain();
  }
  for (const account of accounts) {
    await old.points('credits').hold(account, 5, { id: 'to post' });
    // Its time is over before the change, and no worker runs that would end it.
    await old.points('credits').hold(account, 7, { id: 'over', expiresInMs: 1 });
  }
  await engine.drain();
  await old.close();

  const namespace = `${engine.name}b`;
  await engine.access.reachNamespace(namespace);
  const run = async (block: string) => {
    const text = block.replace(/\b32\b/g, String(after)).replaceAll('sluice2', namespace);
    for (const statement of text.split(/;\s*$/m).filter(one => one.trim() !== ''))
      await engine.database.query(statement);
  };
  await run(blocks[0]!);
  await migrate(engine.database, after);
  await run(blocks[1]!);

  const settings = parseSettings({ ...engine.settings, partitions: after });
  const deployment = {
    redis: { url: engine.redisUrl },
    mysql: { url: engine.mysqlUrl },
    namespace,
    settings,
  };
  const worker = await Worker.start({
    ...deployment,
    definitions: parseDefinitions(definitions),
    log: engine.log,
  });
  engine.onClose(() => worker.stop());
  const producer = await createProducer({ ...deployment, definitions, log: engine.log });
  engine.onClose(() => producer.close());
  // Only the ledger knows the second id, since its entry in Redis stayed in the old namespace.
  const results = await producer.apply([
    ...credit(5, '4'),
    ...credit(10, '2'),
    { counter: 'views', key: '1' },
  ]);
  expect(results.filter(result => !result.ok)).toEqual([]);
  const entries = async () =>
    Number(
      (await engine.database.query("SELECT COUNT(*) AS n FROM sluice_entries WHERE program = 'loyalty'"))[0]!
        .n,
    );
  await until(async () => (await entries()) === 4 * accounts.length, 'the flush');
  await until(
    async () => (await producer.points('loyalty').balance(accounts[0]!)) === 35,
    'the late duplicates',
  );
  for (const account of accounts) {
    const history = await producer.points('loyalty').history(account);
    expect(history.map(({ id, balanceAfter }) => [id, balanceAfter])).toEqual([
      ['4', 35],
      ['3', 30],
      ['2', 20],
      ['1', 10],
    ]);
  }
  expect(await producer.counter('views').getMany(['1', '2', '3'])).toEqual([2, 1, 1]);
  const credits = producer.points('credits');
  for (const account of accounts) {
    await until(
      async () => (await credits.findHold(account, 'over'))?.status === 'expired',
      `the hold of ${account} to expire`,
    );
    await credits.post(account, 'to post', 3);
    expect(await credits.account(account)).toEqual({ balance: -3, held: 0, available: 97 });
  }
  const ends = async () =>
    (await engine.database.query('SELECT status, COUNT(*) AS n FROM sluice_holds GROUP BY status')).map(
      ({ status, n }) => [status, Number(n)],
    );
  const expected = [
    ['posted', accounts.length],
    ['expired', accounts.length],
  ];
  await until(async () => JSON.stringify(await ends()) === JSON.stringify(expected), 'the ends of all holds');
  expect(await expectOpenSums(engine)).toEqual([]);
  const losses = await engine.database.query('SELECT * FROM sluice_losses');
  expect(losses).toEqual([]);
});
