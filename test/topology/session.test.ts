// Servers that set up sessions in other ways: Sluice still stores, reads and reports the same.

import { join } from 'node:path';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, startMysql } from '../../scripts/servers.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { migrate } from '../../src/shared/mysql/migrate.ts';
import { MigrationLease } from '../../src/shared/mysql/migration-lease.ts';
import { leftAlone } from '../../src/shared/mysql/session-left-alone.ts';
import { sessionVariables } from '../../src/shared/mysql/session-variables.ts';
import { openTables } from '../../src/shared/values/mapping.ts';
import { openProxy } from '../support/proxy.ts';
import { readRights } from '../support/rights.ts';
import { temporaryFolder } from '../support/servers.ts';

const limits = { connections: 4, idleTransactionSeconds: 30, lockWaitSeconds: 5 };

describe.each(['mysql97', 'mariadb'] as const)('%s', flavour => {
  let mysql: RunningServer;
  let url: string;

  beforeAll(async () => {
    const folder = await temporaryFolder();
    mysql = await startMysql({
      flavour,
      directory: join(folder, flavour),
      args: ['--max-allowed-packet=8M'],
    });
    url = `mysql://sluice:pass@127.0.0.1:${mysql.port}/app`;
    await asAdmin('CREATE DATABASE app', "CREATE USER 'sluice'@'%' IDENTIFIED BY 'pass'");
    await asAdmin(
      ...readRights('sluice', 'app').mysql,
      "GRANT CREATE, ALTER, INDEX ON app.* TO 'sluice'@'%'",
    );
  });
  afterAll(() => mysql.discard());

  async function asAdmin(...statements: string[]): Promise<void> {
    const admin = await createConnection(mysql.url);
    for (const statement of statements) await admin.query(statement);
    await admin.end();
  }

  /** Only users meet `init_connect`; it skips administrators. */
  async function begin(...statements: string[]): Promise<void> {
    await asAdmin(`SET GLOBAL init_connect = '${statements.join('; ').replaceAll("'", "''")}'`);
  }

  it.each([
    'SET NAMES utf8',
    'SET NAMES latin1',
    "SET NAMES latin1; SET session_track_system_variables = ''",
    'SET NAMES sjis',
    'SET character_set_results = NULL',
    "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'",
    'SET sql_select_limit = 1, max_join_size = 1',
    'SET autocommit = 0, completion_type = CHAIN',
    'SET TRANSACTION READ ONLY',
    'SET timestamp = 1000000000',
  ])("after %s, Sluice's sessions work as ever", async statement => {
    await begin(statement);
    const database = new Database({ url }, limits);
    const [row] = await database.query('SELECT HEX(?) AS bytes, ? AS text, UTC_TIMESTAMP() AS now', [
      '/😀',
      "日本\\'",
    ]);
    expect(row).toMatchObject({ bytes: '2FF09F9880', text: "日本\\'" });
    expect(Math.abs((row!.now as Date).getTime() - Date.now())).toBeLessThan(60_000);
    await database.query('CREATE TABLE IF NOT EXISTS written (id INT AUTO_INCREMENT PRIMARY KEY)');
    await database.transaction(connection => connection.query('INSERT INTO written VALUES (), (), ()'));
    expect((await database.query('SELECT id FROM written')).length).toBeGreaterThanOrEqual(3);
    await database.close();
  });

  it('a database behind a proxy that drops SET is refused', async () => {
    await begin();
    const proxy = await openProxy(url, data =>
      // A no-op of the same length.
      Buffer.from(data.toString('latin1').replaceAll('SET @@', 'DO 0 #'), 'latin1'),
    );
    const database = new Database({ url: proxy.url }, limits);
    await expect(database.query('SELECT 1')).rejects.toMatchObject({
      code: 'DATABASE_UNSUITABLE',
      message: expect.stringMatching(/has \w+ = .*, although it was set to .*a proxy leaves out SET/),
    });
    await database.close();
  });

  it('a migration is committed although autocommit is off', async () => {
    await begin('SET autocommit = 0');
    await asAdmin('SET GLOBAL autocommit = 0');
    const database = new Database({ url }, limits);
    expect(await migrate(database, 4)).toMatchObject({ partitions: 4 });
    const seen = await createConnection(mysql.url);
    const [rows] = await seen.query('SELECT COUNT(*) AS n FROM app.sluice_partitions');
    expect(rows).toMatchObject([{ n: 4 }]);
    await seen.end();
    await asAdmin('SET GLOBAL autocommit = 1');
    await database.close();
  });

  it('two migrations run one after the other, and a dead one is taken over from', async () => {
    await begin();
    const database = new Database({ url }, limits);
    await migrate(database, 4);
    const first = await MigrationLease.take(database);
    await expect(MigrationLease.take(database, 0)).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    const second = MigrationLease.take(database);
    await first.release();
    const held = await second;
    held.check();
    await held.release();
    // The lease of a dead process is not renewed, and ends by the database's clock.
    await database.query("UPDATE sluice_meta SET value = '1000 dead' WHERE name = 'migration_lease'");
    const third = await MigrationLease.take(database, 0);
    third.check();
    await third.release();
    await Promise.all([migrate(database, 4), migrate(database, 4)]);
    await database.close();
  });

  it('every session variable of the server is in the catalogue', async () => {
    await begin();
    const known = new Set([
      ...sessionVariables.flatMap(variable => variable.names),
      ...leftAlone.flatMap(({ names }) => names),
    ]);
    const admin = await createConnection(mysql.url);
    const [rows] = await admin.query<RowDataPacket[]>('SHOW SESSION VARIABLES');
    const unknown: string[] = [];
    for (const name of rows.map(row => String(row.Variable_name).toLowerCase())) {
      if (known.has(name)) continue;
      try {
        await admin.query(`SET SESSION ${name} = @@SESSION.${name}`);
        unknown.push(name);
      } catch (error) {
        // The variable is read-only or global.
        if (![1229, 1238].includes((error as { errno: number }).errno)) unknown.push(name);
      }
    }
    await admin.end();
    expect(unknown).toEqual([]);
  });

  it("the user's tables keep their time zone, and Sluice's times are in UTC", async () => {
    await begin("SET time_zone = '+09:00'", 'SET div_precision_increment = 0');
    const database = new Database({ url }, limits);
    const [row] = await database.query(
      "SELECT TIMESTAMPDIFF(HOUR, UTC_TIMESTAMP(), NOW()) AS hours, TIMESTAMPADD(MICROSECOND, ? * 1000, TIMESTAMP'1970-01-01 00:00:00') AS at",
      [1_784_000_123_456],
    );
    expect(Number(row!.hours)).toBe(9);
    expect((row!.at as Date).getTime()).toBe(1_784_000_123_456);
    await database.close();
  });

  it("a mapped table is updated under safe updates, with times in the user's zone", async () => {
    await begin("SET time_zone = '+09:00'", 'SET sql_safe_updates = 1', 'SET foreign_key_checks = 0');
    const database = new Database({ url }, limits);
    await database.query(
      'CREATE TABLE items (id INT PRIMARY KEY, n INT NOT NULL, updated_at DATETIME DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP)',
    );
    await database.query("INSERT INTO items VALUES (1, 0, '2020-01-01')");
    const target = { table: 'items', key: 'id', column: 'n' };
    const tables = await openTables(database, parseDefinitions({ counters: { hits: { target } } }));
    const rows = [{ name: 'hits', key: '1', amount: 5 }];
    await database.transaction(connection => tables.of('c', 'hits').add(connection, rows));
    const [row] = await database.query(
      'SELECT n, TIMESTAMPDIFF(MINUTE, UTC_TIMESTAMP(), updated_at) AS minutes FROM items',
    );
    expect(row!.n).toBe(5);
    expect(Math.abs(Number(row!.minutes) - 540)).toBeLessThanOrEqual(1);
    await database.close();
  });
});
