// `sluice backfill` on Redis Cluster: its pages go to partitions of all masters, and it is killed there too.

import { expect, it } from 'vitest';
import { killedAt } from '../support/backfill-process.ts';
import { openDeployment } from '../support/command.ts';
import { ownCluster } from '../support/servers.ts';

const ROWS = 600;
/** Each command is a process, and a busy machine needs seconds to start one. */
const PATIENT_MS = 300_000;

it(
  'counts each row once, in points and in counters, although it is killed twice in each',
  async () => {
    const { servers } = await ownCluster();
    const definitions = { counters: { views: {} }, points: { loyalty: { floor: 0 } } } as const;
    const deployment = await openDeployment(definitions, { servers, migrated: true });
    const { database } = deployment;
    await database.query('CREATE TABLE users (id INT NOT NULL PRIMARY KEY, n INT NOT NULL) ENGINE = InnoDB');
    const rows = Array.from({ length: ROWS }, (_, n) => `(${n + 1}, ${(n % 97) + 1})`);
    await database.query(`INSERT INTO users VALUES ${rows.join(', ')}`);
    await deployment.worker();
    for (const to of ['loyalty', 'views']) {
      const args = ['backfill', to, '--table', 'users', '--key', 'id', '--value', 'n', '--to', to];
      // A busy machine must not make the pages small, and the copy must not end before it is killed.
      const slow = ['--page', '40', '--rate', '100', '--lag', '60', '--json'];
      const end = await killedAt(deployment, to, [...args, ...slow], [ROWS / 6, ROWS / 2]);
      expect([end.code, end.stderr]).toEqual([0, '']);
      expect(JSON.parse(end.stdout)).toMatchObject({ finished: true, passed: ROWS, copied: ROWS });
    }
    const status = JSON.parse((await deployment.sluice(['status', '--json'])).stdout);
    expect(status.partitions).toHaveLength(4);
    const wrong = await database.query(
      `SELECT u.id, u.n, a.balance, c.value FROM users u
       LEFT JOIN sluice_accounts a ON a.program = 'loyalty' AND a.account = CAST(u.id AS BINARY)
       LEFT JOIN sluice_counters c ON c.counter = 'views' AND c.counter_key = CAST(u.id AS BINARY)
       WHERE NOT (a.balance <=> u.n AND c.value <=> u.n)`,
    );
    expect(wrong).toEqual([]);
    const [opened] = await database.query(
      "SELECT COUNT(*) AS entries FROM sluice_entries WHERE entry_id = '\\0\\0loyalty'",
    );
    expect(Number(opened!.entries)).toBe(ROWS);
    const [used] = await database.query(
      'SELECT COUNT(*) AS written FROM sluice_partitions WHERE sequence > 0',
    );
    expect(Number(used!.written)).toBe(4);
  },
  PATIENT_MS,
);
