// The statements of docs/erasure.md erase exactly what the page says, and the ledgers still add up.

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { openDeployment } from '../support/command.ts';
import { until } from '../support/engine.ts';
import { expectOpenSums } from '../support/holds.ts';
import { liveItems } from '../support/live.ts';

const page = readFileSync(new URL('../../docs/erasure.md', import.meta.url), 'utf8');
const [anonymise, erase, eraseName] = [...page.matchAll(/```sql\n([\s\S]*?)```/g)].map(([, block]) =>
  block!.split(/;\n/).slice(0, -1),
);
/** `DROP TRIGGER refuse` mends it. */
const REFUSE =
  "CREATE TRIGGER refuse BEFORE INSERT ON sluice_entries FOR EACH ROW IF NEW.account = 'nobody' THEN SIGNAL SQLSTATE '45000'; END IF";

const definitions = { points: { loyalty: {}, credits: {} } } as const;

/** Two accounts in two programs, all in MySQL; person-4 has entries with a telling reason. */
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
  const send = async (...updates: object[]) => {
    const lines = updates.map(update => `${JSON.stringify(update)}\n`).join('');
    expect(await deployment.sluice(['ingest', '-'], {}, lines)).toMatchObject({ code: 0 });
  };
  /** Runs statements in one session. @returns the rows of the last one */
  const run = (statements: readonly string[]) =>
    deployment.database.session(async connection => {
      let rows: unknown;
      for (const statement of statements) [rows] = await connection.query(statement);
      return rows as Record<string, unknown>[];
    });
  const told = "(reason IS NOT NULL OR JSON_VALUE(metadata, '$.note') IS NOT NULL)";
  return { ...deployment, count, send, run, told };
}

it("anonymising removes the texts of an account's entries, and changes no number", async () => {
  const { database, sluice, count, told } = await openLedgers();
  for (const statement of anonymise!) await database.query(statement);
  expect(await count("account = 'person-4' AND program = 'loyalty'")).toBe(3);
  expect(await count(`account = 'person-4' AND program = 'loyalty' AND ${told}`)).toBe(0);
  expect(await count(told)).toBe(9);
  expect(await sluice(['verify', '--json'])).toMatchObject({ code: 0 });
});

it('an account is erased with its quarantined entries, and a repair clears its live value', async () => {
  const { database, sluice, count, run, redis, name, keys } = await openLedgers();
  // A constraint makes MySQL refuse the next entry.
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

  const holds = async () =>
    (await database.query('SELECT account FROM sluice_holds')).map(row => String(row.account));
  const ofBoth = [
    ['person-4', 'voided'],
    ['person-4', 'open'],
    ['person-5', 'voided'],
  ].map(
    ([account, status]) => `('loyalty', '${account}', '${status}', 0, 3, '${status}', 0, UTC_TIMESTAMP(3))`,
  );
  await database.query("INSERT INTO sluice_open_holds VALUES ('loyalty', 0, 1, 3)");
  await database.query(
    `INSERT INTO sluice_holds (program, account, hold_id, partition_id, amount, status, posted, created_at) VALUES ${ofBoth}`,
  );
  expect(await run(erase!)).toEqual([{ result: 'erased' }]);
  expect(await count("account = 'person-4' AND program = 'loyalty'")).toBe(0);
  expect(await count('TRUE')).toBe(9);
  expect(await holds()).toEqual(['person-5']);
  expect(await expectOpenSums({ database })).toEqual([]);
  expect((await sluice(['verify', '--json'])).code).toBe(1);
  const repair = await sluice(['verify', '--repair', '--reason', 'erasure', '--json']);
  expect(repair.code).toBe(0);
  expect(JSON.parse(repair.stdout).drift).toMatchObject([{ key: 'person-4', live: 6, became: 0 }]);
  expect(await sluice(['verify', '--json'])).toMatchObject({ code: 0 });

  // The page says that these stay.
  const [item] = await database.query('SELECT original FROM sluice_operation_items');
  expect(String(item!.original)).toContain('person-4');
  const [operation] = await database.query("SELECT filter FROM sluice_operations WHERE action = 'drop'");
  expect(String(operation!.filter)).toContain('person-4');
  expect(await liveItems({ redis, keys }, 'p')).toContain('loyalty:person-4');
  const left = await redis.keys(`{${name}:*`);
  const ids = await Promise.all(left.filter(key => key.endsWith(':ids')).map(key => redis.hkeys(key)));
  expect(ids.flat().some(id => id.includes('person-4'))).toBe(true);
});

it("an account is erased together with its name in its partners' entries", async () => {
  const { database, sluice, count, send, run } = await openLedgers();
  const gift = (from: string, to: string, amount: number) =>
    send({ points: 'loyalty', from, to, amount, id: `${from}-${to}` });
  await gift('person-4', 'person-5', 2);
  await gift('person-5', 'person-4', 1);
  await gift('person-5', 'person-6', 3);
  expect(await sluice(['drain'])).toMatchObject({ code: 0 });
  // Another transfer to the account is refused, and given back.
  await database.query(REFUSE.replace('nobody', 'person-4'));
  await gift('person-6', 'person-4', 1);
  expect((await sluice(['drain'])).code).toBe(1);

  // Its row names the account.
  expect(await run(erase!)).toEqual([
    { result: 'refused: transfers or quarantined updates name the account' },
  ]);
  expect(await count("account = 'person-4' AND program = 'loyalty'")).toBe(5);
  expect(await sluice(['transfers', 'return', '--account', 'person-4', '--reason', 'erasure'])).toMatchObject(
    {
      code: 0,
    },
  );
  expect(await sluice(['drain'])).toMatchObject({ code: 0 });
  await database.query('DROP TRIGGER refuse');

  expect(await run(erase!)).toEqual([{ result: 'erased' }]);
  expect(await sluice(['verify', '--repair', '--reason', 'erasure'])).toMatchObject({ code: 0 });
  const verified = await sluice(['verify', '--json']);
  expect(verified).toMatchObject({ code: 0, stdout: expect.stringContaining('"transfers":[]') });
  expect(await count("account = 'person-4' AND program = 'loyalty'")).toBe(0);
  // The entries of the transfer between other accounts still name each other.
  expect(await count('transfer IS NOT NULL')).toBe(4);
  expect(await count("other_account = 'person-4'")).toBe(1);
  await run(eraseName!);
  expect(await count("other_account = 'person-4'")).toBe(0);
  expect(await count("other_account IN ('person-5', 'person-6')")).toBe(3);
  expect(await sluice(['verify', '--json'])).toMatchObject({ code: 0 });
  // Amounts and ids of the partners stay.
  expect(await count("account = 'person-5' AND program = 'loyalty'")).toBe(6);
});

it('an account is not erased while a quarantined debit would give points to it', async () => {
  const { database, sluice, count, send, run } = await openLedgers();
  await database.query(REFUSE.replace('nobody', 'person-5'));
  await send({ points: 'loyalty', from: 'person-5', to: 'person-4', amount: 1, id: 'late gift' });
  expect(await sluice(['drain'])).toMatchObject({ code: 0 });
  expect(await run(erase!)).toMatchObject([{ result: expect.stringMatching(/^refused/) }]);
  expect(await count("account = 'person-4' AND program = 'loyalty'")).toBe(3);
  expect(await sluice(['failed', 'drop', '--all', '--reason', 'erasure'])).toMatchObject({ code: 0 });
  expect(await sluice(['drain'])).toMatchObject({ code: 0 });
  expect(await run(erase!)).toEqual([{ result: 'erased' }]);
});
