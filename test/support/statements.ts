/** The statements of an engine's transactions: what a test counts instead of milliseconds. */
import type { PoolConnection } from 'mysql2/promise';
import type { Engine } from './engine.ts';

/** The statements from now on. */
export function statements({ own: { database } }: Engine): string[] {
  const seen: string[] = [];
  const transaction = database.transaction.bind(database);
  database.transaction = use =>
    transaction(connection => {
      const query = (sql: string, values?: unknown[]) => {
        seen.push(sql);
        return connection.query(sql, values);
      };
      return use(Object.create(connection, { query: { value: query } }) as PoolConnection);
    });
  return seen;
}
