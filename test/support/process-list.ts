/** What the sessions of a database are doing. */
import type { Database } from '../../src/shared/mysql/database.ts';

/**
 * Statements that run now in the database of this connection, without the one that asks.
 *
 * By SHOW, since a SELECT from information_schema.processlist returns statements as utf8mb3, which MySQL refuses
 * if any session of the server sends an emoji. Not by innodb_trx either: MySQL refreshes that table only if nobody
 * has read it for 0.1 s.
 */
export async function runningStatements(database: Pick<Database, 'query'>): Promise<string[]> {
  const [own] = await database.query('SELECT DATABASE() AS name');
  const processes = await database.query('SHOW FULL PROCESSLIST');
  return processes
    .filter(({ db, Info }) => db === own!.name && Info && !/^SHOW FULL PROCESSLIST/.test(String(Info)))
    .map(({ Info }) => String(Info));
}
