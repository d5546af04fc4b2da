/** Stands for a payment provider. A real one takes the order as its idempotency key too. */
import type { Database } from '../database/database.ts';

/** It declines what costs more. */
const MOST_CENTS = 1_000_000;

/** Charges an order once, however often it is asked. @returns false if it declines */
export async function charge(database: Database, order: string, cents: number): Promise<boolean> {
  if (cents > MOST_CENTS) return false;
  await database.query('INSERT IGNORE INTO pretend_charges (order_id, cents) VALUES (?, ?)', [order, cents]);
  return true;
}
