/**
 * What the catalogue reads and writes in MySQL.
 *
 * The pattern: each statement names its columns and finds its rows by an index. Use it under a cache,
 * which needs to know what a miss costs. It does not follow the order of a list that changes: a page begins after a key.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RowDataPacket } from 'mysql2';
import { Counter } from 'prom-client';
import type { Shop } from '../shop.ts';

export interface Product {
  readonly id: number;
  readonly name: string;
  readonly category: string;
  readonly description: string;
  readonly priceCents: number;
}
export type ProductChange = Partial<Omit<Product, 'id'>>;
/** What others may know of a user: never the password. */
interface User {
  readonly id: number;
  readonly name: string;
  readonly city: string;
}

const PRODUCT = 'SELECT id, name, category, description, price_cents AS priceCents FROM products';
const USER = 'SELECT id, name, city FROM users';
const COLUMNS = { name: 'name', category: 'category', description: 'description', priceCents: 'price_cents' };
const PAGE = 20;
/** Between two looks whether a transaction has ended. */
const LOOK_MS = 1000;
/** Ends in MySQL too, so that looks do not pile up there. */
const SHORT_WAITS = 'SET SESSION lock_wait_timeout = 1, innodb_lock_wait_timeout = 1';
const USUAL_WAITS = 'SET SESSION lock_wait_timeout = DEFAULT, innodb_lock_wait_timeout = DEFAULT';

export function openTables({ database, registry }: Pick<Shop, 'database' | 'registry'>) {
  const queries = new Counter({
    name: 'shop_catalogue_queries_total',
    help: 'Queries that the catalogue sent to MySQL.',
    registers: [registry],
  });

  const rows = async <T>(sql: string, values: unknown[]): Promise<T[]> => {
    queries.inc();
    return (await database.query<RowDataPacket[]>(sql, values))[0] as T[];
  };
  const byId = async <T>(sql: string, id: string) => (await rows<T>(`${sql} WHERE id = ?`, [id]))[0] ?? null;

  return {
    product: (id: string) => byId<Product>(PRODUCT, id),
    user: (id: string) => byId<User>(USER, id),

    /** The page after a product, by its key and never by OFFSET: each page costs the same. @param category '': all */
    products: (category: string, after: string) => {
      const [where, values] = category === '' ? ['', []] : ['category = ? AND ', [category]];
      return rows<Product>(`${PRODUCT} WHERE ${where}id > ? ORDER BY id LIMIT ?`, [...values, after, PAGE]);
    },

    /** @param finish is called with the product as it was, and commits. @returns `null` if there is no such product */
    change: <T>(
      id: string,
      change: ProductChange,
      finish: (before: Product, commit: () => Promise<unknown>) => Promise<T>,
    ): Promise<T | null> =>
      database.connected(async query => {
        await query('START TRANSACTION');
        const [[before]] = await query<RowDataPacket[]>(`${PRODUCT} WHERE id = ? FOR UPDATE`, [id]);
        if (before) await query('UPDATE products SET ? WHERE id = ?', [columnsOf(change), id]);
        if (before) return finish(before as Product, () => query('COMMIT'));
        await query('ROLLBACK');
        return null;
      }),

    /** Resolves when no transaction that has changed the product is open, and MySQL can say so. Never fails. */
    async settled(id: string): Promise<void> {
      const look = () =>
        database.connected(async query => {
          await query(SHORT_WAITS);
          await query('SELECT id FROM products WHERE id = ? FOR UPDATE', [id]);
          await query(USUAL_WAITS);
          return true;
        });
      while (!(await look().catch(() => false))) await sleep(LOOK_MS, undefined, { ref: false });
    },
  };
}

function columnsOf(change: ProductChange): Record<string, unknown> {
  const columns = Object.entries(change).map(([name, value]) => [
    COLUMNS[name as keyof typeof COLUMNS],
    value,
  ]);
  return Object.fromEntries(columns);
}
