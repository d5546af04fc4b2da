// docs/erasure.md: its statements erase what it says, leave the ledgers adding up, and leave where it says what it says.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { openDeployment } from '../support/command.ts';
import { until } from '../support/engine.ts';

const page = readFileSync(new URL('../../docs/erasure.md', import.meta.url), 'utf8');
const [anonymise, erase] = [...page.matchAll(/```sql\n([\s\S]*?)```/g)].map(([, block]) =>
  block!.split(/;\n/).slice(0, -1),
);

const definitions = { points: { loyalty: {}, credits: {} } } as const;

/** Two accounts in two programs, all in MySQL; the person's with a reason that says something. */
async function openLedgers() {
  const deployment = await openDeployment(definitions);
  await deployment.worker();
  const entries = ['person-4', 'person-5'].flatMap(account =>
    ['loyalty', 'credits'].flatMap(points =>
      [1, 2, 3].map(amount => ({
        points,
        account,
        amount,
        id: `${account}-${amount}`,
        reason: 'private',
        metadata: { note: 'private' },
      })),
    ),
  );
  const lines = entries.map(entry => `${JSON.stringify(entry)}\n`).join('');
  expect(await deployment.sluice(['ingest', '-'], {}, lines)).toMatchObject({ code: 0 });
  expect(await deployment.sluice(['drain'])).toMatchObject({ code: 0 });
  const count = async (where: string) => {
    const [row] = await deployment.database.query(`SELECT COUNT(*) AS n FROM sluice_entries WHERE ${where}`);
    return Number(row!.n);
  };
  const told = "(reason IS NOT NULL OR JSON_VALUE(metadata, '$.note') IS NOT NULL)";
  return { ...deployment, count, told };
}

it('takes away what the entries of one account say, and no number', async () => {
  const { database, sluice, count, told } = await openLedgers();
  for (const statement of anonymise!) await database.query(statement);
  expect(await count("account = 'person-4' AND program = 'loyalty'")).toBe(3);
  expect(await count(`account = 'person-4' AND program = 'loyalty' AND ${told}`)).toBe(0);
  expect(await count(told)).toBe(9);
  expect(await sluice(['verify', '--json'])).toMatchObject({ code: 0 });
});

it('erases an account with what is in quarantine, and the repair clears its live value', async () => {
  const { database, sluice, count, redis, name } = await openLedgers();
  // The next entry is refused by the database for its own sake.
  await database.query('ALTER TABLE sluice_entries ADD CONSTRAINT no_seven CHECK (amount <> 7)');
  const refused = { points: 'loyalty', account: 'person-4', amount: 7, id: 'refused', reason: 'private' };
  expect(await sluice(['ingest', '-'], {}, `${JSON.stringify(refused)}\n`)).toMatchObject({ code: 0 });
  const quarantined = async () =>
    Number((await database.query('SELECT COUNT(*) AS n FROM sluice_quarantine'))[0]!.n);
  await until(async () => (await quarantined()) === 1, 'the entry to be in quarantine');

  const drop = [
    'failed',
    'drop',
    '--kind',
    'entry',
    '--name',
    'loyalty',
    '--key',
    'person-4',
    '--reason',
    'erasure',
  ];
  expect(await sluice(drop)).toMatchObject({ code: 0 });
  expect(await sluice(['drain'])).toMatchObject({ code: 0 });
  expect(await quarantined()).toBe(0);

  await database.session(async connection => {
    for (const statement of erase!) await connection.query(statement);
  });
  expect(await count("account = 'person-4' AND program = 'loyalty'")).toBe(0);
  expect(await count('TRUE')).toBe(9);
  expect((await sluice(['verify', '--json'])).code).toBe(1);
  const repair = await sluice(['verify', '--repair', '--reason', 'erasure', '--json']);
  expect(repair.code).toBe(0);
  expect(JSON.parse(repair.stdout).drift).toMatchObject([{ key: 'person-4', live: 6, became: 0 }]);
  expect(await sluice(['verify', '--json'])).toMatchObject({ code: 0 });

  // What the page says that stays.
  const [item] = await database.query('SELECT original FROM sluice_operation_items');
  expect(String(item!.original)).toContain('person-4');
  const [operation] = await database.query("SELECT filter FROM sluice_operations WHERE action = 'drop'");
  expect(String(operation!.filter)).toContain('person-4');
  const left = await redis.keys(`{${name}:*`);
  expect(left.some(key => key.endsWith('loyalty:person-4'))).toBe(true);
  const ids = await Promise.all(left.filter(key => key.endsWith(':ids')).map(key => redis.hkeys(key)));
  expect(ids.flat().some(id => id.includes('person-4'))).toBe(true);
});
