/**
 * What the catalogue reads and writes in MySQL.
 *
 * The pattern: each statement names its columns, has a time limit, and finds its rows by an index. Use it under a cache,
 * which needs to know what a miss costs. It does not follow the order of a list that changes: a page begins after a key.
 */
import type { RowDataPacket } from 'mysql2';
import type { PoolConnection } from 'mysql2/promise';
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

export function openTables({ database, registry, settings }: Shop) {
  const queries = new Counter({
    name: 'shop_catalogue_queries_total',
    help: 'Queries that the catalogue sent to MySQL.',
    registers: [registry],
  });
  const rows = async <T>(sql: string, values: unknown[]): Promise<T[]> => {
    queries.inc();
    const [rows] = await database.query<RowDataPacket[]>({ sql, values, timeout: settings.cache.loadMs });
    return rows as T[];
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
    async change<T>(
      id: string,
      change: ProductChange,
      finish: (before: Product, commit: () => Promise<void>) => Promise<T>,
    ): Promise<T | null> {
      const connection = await database.getConnection();
      try {
        await connection.beginTransaction();
        const before = await update(connection, id, change);
        const result = before && (await finish(before, () => connection.commit()));
        if (before === null) await connection.rollback();
        connection.release();
        return result;
      } catch (error) {
        // Nobody knows what state it is in.
        connection.destroy();
        throw error;
      }
    },
  };
}

async function update(
  connection: PoolConnection,
  id: string,
  change: ProductChange,
): Promise<Product | null> {
  const [[before]] = await connection.query<RowDataPacket[]>(`${PRODUCT} WHERE id = ? FOR UPDATE`, [id]);
  if (!before) return null;
  const columns = Object.entries(change).map(([name, value]) => [
    COLUMNS[name as keyof typeof COLUMNS],
    value,
  ]);
  await connection.query('UPDATE products SET ? WHERE id = ?', [Object.fromEntries(columns), id]);
  return before as Product;
}
