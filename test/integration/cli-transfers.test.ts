// `sluice transfers`, and what status, drain, verify and failed say of transfers: with a real worker.

import { expect, it } from 'vitest';
import { openDeployment } from '../support/command.ts';
import { until } from '../support/engine.ts';

const definitions = { points: { loyalty: { floor: 0 }, credits: {} } } as const;

/** Makes MySQL refuse entries of this account. */
const refuse = (account: string) =>
  `CREATE TRIGGER refuse BEFORE INSERT ON sluice_entries FOR EACH ROW IF NEW.account = '${account}' THEN SIGNAL SQLSTATE '45000'; END IF`;

const credit = (account: string, amount: number) => ({
  points: 'loyalty',
  account,
  amount,
  id: `first of ${account}`,
});
const gift = (from: string, to: string, amount: number) => ({
  points: 'loyalty',
  from,
  to,
  amount,
  id: `${from} to ${to}`,
});

async function openBank() {
  const deployment = await openDeployment(definitions);
  const { database } = deployment;
  return {
    ...deployment,
    async send(...updates: object[]) {
      const lines = updates.map(update => `${JSON.stringify(update)}\n`).join('');
      const { code, stderr } = await deployment.sluice(['ingest', '-'], {}, lines);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    },
    transfers: (...args: string[]) => deployment.sluice(['transfers', ...args]),
    async balances() {
      const rows = await database.query('SELECT account, balance FROM sluice_accounts ORDER BY account');
      return Object.fromEntries(rows.map(row => [String(row.account), Number(row.balance)]));
    },
  };
}

it('a transfer goes through, and nothing is left to see', async () => {
  const { sluice, send, worker, transfers, balances } = await openBank();
  await worker();
  await send(credit('alice', 100), gift('alice', 'bob', 30));
  expect(await sluice(['drain', '--json'])).toMatchObject({
    code: 0,
    stdout: '{"drained":true,"left":0,"inTransit":0,"aside":0}\n',
  });
  expect(await balances()).toEqual({ alice: 70, bob: 30 });
  expect(await transfers('list', '--json')).toMatchObject({
    code: 0,
    stdout: '{"transfers":[],"total":0}\n',
  });
  expect((await transfers('list')).stdout).toBe('transfers that wait: 0\n');
  expect(await sluice(['verify'])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('0 ledgers and 0 transfers that do not add up'),
  });
});

it('a transfer that MySQL refuses is aside: shown everywhere, then retried', async () => {
  const { sluice, send, worker, transfers, balances, database, keys } = await openBank();
  await worker();
  await send(credit('alice', 100));
  expect((await sluice(['drain'])).code).toBe(0);
  await database.query(refuse('bob'));
  await send(gift('alice', 'bob', 30), gift('alice', 'carol', 5));

  const drained = await sluice(['drain', '--json']);
  expect(drained).toMatchObject({
    code: 1,
    stdout: '{"drained":true,"left":0,"inTransit":0,"aside":1}\n',
    stderr: expect.stringContaining('1 transfers are aside'),
  });
  expect(await balances()).toEqual({ alice: 65, carol: 5 });
  const status = JSON.parse((await sluice(['status', '--json'])).stdout);
  expect(status).toMatchObject({
    quarantined: 0,
    transfers: [{ program: 'loyalty', inTransit: 0, oldestSeconds: 0, aside: 1 }],
  });
  expect(status.transfers[0].oldestAsideSeconds).toBeGreaterThan(0);
  expect((await sluice(['status'])).stdout).toMatch(
    /^transfers of loyalty aside: 1, the oldest for \d+\.\d s/m,
  );
  // Nothing is wrong with a transfer that waits.
  expect((await sluice(['verify'])).code).toBe(0);

  const list = JSON.parse((await transfers('list', '--json')).stdout);
  const [row] = list.transfers;
  expect(list).toEqual({
    total: 1,
    transfers: [
      {
        transfer: expect.any(String),
        program: 'loyalty',
        from: 'alice',
        to: 'bob',
        amount: 30,
        entryId: 'alice to bob',
        state: 'aside',
        code: 'ER_SIGNAL_EXCEPTION',
        partition: keys.partitionOf('bob'),
        createdAt: expect.any(String),
        drivenAt: expect.any(String),
        ageSeconds: expect.any(Number),
      },
    ],
  });
  expect((await transfers('list', '--state', 'aside')).stdout).toMatch(
    /^transfers that wait: 1\ntransfer +program +from +to +amount +state +age, s +error code +partition +debited at\n[- ]+\n\S+ +loyalty +"alice" +"bob" +30 +aside +\d+\.\d +ER_SIGNAL_EXCEPTION +\d +20\S+Z\n$/,
  );
  expect((await transfers('list', '--state', 'open')).stdout).toBe('transfers that wait: 0\n');

  const dry = await transfers('retry', '--all', '--dry-run');
  expect(dry).toMatchObject({ code: 0, stderr: '' });
  expect(dry.stdout).toMatch(
    /^nothing was changed; a retry would cover transfers: 1\n.*\n.*\n +1 +30 +loyalty +ER_SIGNAL_EXCEPTION +retried\n$/,
  );
  // It comes back while the cause is there.
  expect(await transfers('retry', row.transfer)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(
      /^operation 1 \(retry\) finished; transfers: 1 retried; workers send the credits now/,
    ),
    stderr: '',
  });
  const isAside = async () =>
    JSON.parse((await transfers('list', '--json')).stdout).transfers[0]?.state === 'aside';
  await until(isAside, 'the second refusal');
  await database.query('DROP TRIGGER refuse');
  expect(
    await transfers(
      'retry',
      '--code',
      'ER_SIGNAL_EXCEPTION',
      '--operator',
      'olga',
      '--reason',
      'trigger gone',
      '--json',
    ),
  ).toMatchObject({
    code: 0,
    stdout: '{"operation":2,"action":"retry","finished":true,"transfers":{"retried":1}}\n',
  });
  expect((await sluice(['drain'])).code).toBe(0);
  expect(await balances()).toEqual({ alice: 65, bob: 30, carol: 5 });
  expect((await transfers('retry', row.transfer)).code).toBe(1);
  expect((await sluice(['verify'])).code).toBe(0);

  const audit = await sluice(['failed', 'audit']);
  expect(audit.stdout).toMatch(
    /^ +2 +retry +olga +20\S+Z +20\S+Z +1 retried +trigger gone +{"state":"aside","code":"ER_SIGNAL_EXCEPTION"}$/m,
  );
  const one = await sluice(['failed', 'audit', '2']);
  expect(one.stdout).toMatch(/^transfers +1 retried$/m);
  expect(one.stdout).toMatch(/^\S+ +retried +20\S+Z +loyalty +"alice" +"bob" +30$/m);
});

it('a return gives the points back, or to another account', async () => {
  const { sluice, send, worker, transfers, balances, database } = await openBank();
  await worker();
  await send(credit('alice', 100), credit('dora', 10));
  expect((await sluice(['drain'])).code).toBe(0);
  await database.query(refuse('bob'));
  await send(gift('alice', 'bob', 30), gift('dora', 'bob', 4));
  expect((await sluice(['drain'])).code).toBe(1);
  const back = await transfers('return', '--account', 'alice', '--reason', 'no such account');
  expect(back).toMatchObject({ code: 0, stdout: expect.stringContaining('transfers: 1 returned') });
  const moved = await transfers('return', '--all', '--to', 'heir', '--reason', 'inherited');
  expect(moved).toMatchObject({ code: 0, stdout: expect.stringContaining('transfers: 1 returned') });
  expect((await sluice(['drain'])).code).toBe(0);
  expect(await balances()).toEqual({ alice: 100, dora: 6, heir: 4 });
  expect((await sluice(['verify'])).code).toBe(0);
  expect((await sluice(['failed', 'audit', '2'])).stdout).toMatch(/^to +"heir"$/m);
});

it('drain waits for transfers in transit, and says so', async () => {
  const { sluice, send, worker, start, transfers, database } = await openBank();
  const first = await worker();
  await send(credit('alice', 100));
  expect((await sluice(['drain'])).code).toBe(0);
  first.child.kill('SIGTERM');
  await first.ended;
  // The state after the death of the worker that wrote the debit.
  await database.query(
    `INSERT INTO sluice_transfers (transfer, program, from_account, to_account, entry_id, amount, to_partition, created_at, driven_at)
     VALUES ('t', 'loyalty', 'alice', 'bob', 'x', 1, CRC32('bob') MOD 4, UTC_TIMESTAMP(3) - INTERVAL 90 SECOND, UTC_TIMESTAMP(3))`,
  );
  const late = await sluice(['drain', '--timeout', '0.3', '--json']);
  expect(late).toMatchObject({
    code: 1,
    stdout: '{"drained":false,"left":0,"inTransit":1,"aside":0}\n',
    stderr: expect.stringContaining('after 0.3 s, 1 transfers are in transit; check with'),
  });
  expect((await sluice(['status'])).stdout).toMatch(
    /^transfers of loyalty in transit: 1, the oldest for \d+\.\d s; workers drive them$/m,
  );
  // No debit has paid for it.
  const wrong = await sluice(['verify']);
  expect(wrong).toMatchObject({ code: 1 });
  expect(wrong.stdout).toMatch(
    /0 ledgers and 1 transfers that do not add up\nprogram +transfer +problem +sum\n.*\nloyalty +t +NO_DEBIT +1\n$/,
  );
  expect(await transfers('retry', 't')).toMatchObject({ code: 0, stdout: expect.stringContaining('1 open') });

  const waiting = start(['drain', '--json', '--timeout', '60']);
  await new Promise(resolve => waiting.child.stderr!.once('data', resolve));
  expect(waiting.stderr()).toContain('1 transfers in transit');
  await worker();
  expect(await waiting.ended).toMatchObject({ code: 0 });
});

it('a debit that MySQL refuses is shown with its destination, and cannot be edited', async () => {
  const { sluice, send, worker, balances, database } = await openBank();
  await worker();
  await send(credit('alice', 100), credit('dora', 10));
  expect((await sluice(['drain'])).code).toBe(0);
  await database.query(refuse('alice'));
  await send(gift('alice', 'bob', 30), gift('alice', 'carol', 20));
  expect((await sluice(['drain'])).code).toBe(0);
  const list = JSON.parse((await sluice(['failed', 'list', '--json'])).stdout);
  expect(list.updates).toMatchObject([
    { name: 'loyalty', key: 'alice', amount: -30, to: 'bob' },
    { name: 'loyalty', key: 'alice', amount: -20, to: 'carol' },
  ]);
  const [first, second] = list.updates.map(({ id }: { id: number }) => String(id));
  expect((await sluice(['failed', 'list'])).stdout).toMatch(/^number +kind +name +key +transfer to +amount/m);
  expect((await sluice(['failed', 'show', first])).stdout).toMatch(/^transfer to +"bob"$/m);
  expect((await sluice(['transfers', 'list'])).stdout).toBe('transfers that wait: 0\n');

  const edit = await sluice(['failed', 'replay', first, '--edit', '{"amount":-5}']);
  expect(edit).toMatchObject({ code: 1, stdout: expect.stringContaining('1 refused:TRANSFER_NOT_EDITABLE') });
  await database.query('DROP TRIGGER refuse');
  expect((await sluice(['failed', 'replay', first, '--json'])).stdout).toContain('"updates":{"replayed":1}');
  expect((await sluice(['failed', 'drop', second, '--reason', 'test', '--json'])).stdout).toContain(
    '"updates":{"dropped":1}',
  );
  expect((await sluice(['drain'])).code).toBe(0);
  expect(await balances()).toEqual({ alice: 70, bob: 30, dora: 10 });
  expect((await sluice(['verify'])).code).toBe(0);
});
