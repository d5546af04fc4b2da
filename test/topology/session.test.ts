// Servers whose sessions begin as others have set them up: what Sluice stores, reads and reports stays the same.

import { join } from 'node:path';
import { createConnection } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, startMysql } from '../../scripts/servers.ts';
import { Database } from '../../src/shared/mysql.ts';
import { readRights } from '../support/rights.ts';
import { temporaryFolder } from '../support/servers.ts';

const limits = { connections: 2, idleTransactionSeconds: 30, lockWaitSeconds: 5 };

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
  afterAll(() => mysql.stop());

  async function asAdmin(...statements: string[]): Promise<void> {
    const admin = await createConnection(mysql.url);
    for (const statement of statements) await admin.query(statement);
    await admin.end();
  }

  /** `init_connect` skips administrators, so only the user meets it. */
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
  ])('after %s, a session is as Sluice wants it', async statement => {
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
});
