/**
 * Fills the tables with made-up products and users, always the same ones: `npm run seed`. PRODUCTS and USERS say how
 * many. It adds what is missing, so it may run again.
 */
import type { Pool } from 'mysql2/promise';
import { hashPassword } from './passwords.ts';
import { settings } from './settings.ts';
import { connectDatabase } from './shop.ts';

const PRODUCTS = Number(process.env.PRODUCTS ?? 10_000);
const USERS = Number(process.env.USERS ?? 100_000);
/** All users have the same password and salt. A real shop has a salt for each; 100,000 take hours. */
const PASSWORD = 'correct horse battery staple';
const ROWS = 1000;
const CATEGORIES = ['books', 'garden', 'kitchen', 'music', 'sport', 'toys'];
const CITIES = ['Berlin', 'Lagos', 'Lima', 'Osaka', 'Oslo', 'Seoul'];

/** Inserts rows with these ids in statements of 1,000. */
async function fill(database: Pool, insert: string, count: number, row: (id: number) => unknown[]) {
  for (let first = 1; first <= count; first += ROWS) {
    const ids = Array.from({ length: Math.min(ROWS, count - first + 1) }, (_, index) => first + index);
    await database.query(insert, [ids.map(id => [id, ...row(id)])]);
  }
}

const database = connectDatabase(settings);
await fill(
  database,
  'INSERT IGNORE INTO products (id, name, category, description, price_cents) VALUES ?',
  PRODUCTS,
  id => [
    `Product ${id}`,
    CATEGORIES[id % CATEGORIES.length],
    `What product ${id} is for. `.repeat(20),
    100 + ((id * 7919) % 20_000),
  ],
);
const password = await hashPassword(PASSWORD);
await fill(database, 'INSERT IGNORE INTO users (id, name, city, password) VALUES ?', USERS, id => [
  `user${id}`,
  CITIES[id % CITIES.length],
  password,
]);
await database.end();
