/**
 * The steps of a purchase: take a piece, charge, credit points.
 *
 * The pattern: each step has the order as its idempotency key, and whoever keeps the key decides whether the step
 * happened: Sluice for pieces and points, the provider for money. So a step may run any number of times, also at once,
 * and has the same effect and the same result. Use it for whatever spans several systems, since no transaction does.
 *
 * What it does not do: it knows no order of the steps and remembers nothing; `payments.ts` does. Redis knows an
 * id until an hour after it is in MySQL: a step that is repeated later may be refused although it happened.
 */
import type { RowDataPacket } from 'mysql2/promise';
import { IdempotencyKeyReusedError, InsufficientPointsError } from 'sluice';
import type { Shop } from '../shop.ts';
import { charge } from './provider.ts';

export interface Purchase {
  readonly order_id: string;
  readonly product_id: number;
  readonly user_id: number;
  readonly cents: number;
}

const takenId = ({ order_id }: Purchase) => `payment:${order_id}`;
const ENTRIES = `SELECT CAST(entry_id AS CHAR) AS id FROM sluice_entries
  WHERE program = 'stock' AND entry_id IN (?)`;

export function purchaseSteps({ sluice, database }: Shop) {
  const stock = sluice.points('stock');
  const loyalty = sluice.points('loyalty');

  /** @returns false if no piece is left */
  async function take(purchase: Purchase): Promise<boolean> {
    try {
      await stock.debit(String(purchase.product_id), 1, { id: takenId(purchase), reason: 'payment' });
      return true;
    } catch (error) {
      if (error instanceof InsufficientPointsError) return false;
      throw error;
    }
  }

  /** @returns false if the provider declines */
  async function pay({ order_id, cents }: Purchase): Promise<boolean> {
    return charge(database, order_id, cents);
  }

  /** One point for each euro, and one. */
  async function credit({ order_id, user_id, cents }: Purchase): Promise<void> {
    const amount = 1 + Math.floor(cents / 100);
    await loyalty.credit(String(user_id), amount, { id: `payment:${order_id}`, reason: 'payment' });
  }

  /**
   * Which of them have a piece; to ask takes none. An order that was refused may have one: one process found nothing
   * while another one took a piece that had just arrived. MySQL knows ids for ever, and Redis those that are not there
   * yet.
   */
  async function takenBy(purchases: readonly Purchase[]): Promise<(purchase: Purchase) => Promise<boolean>> {
    if (purchases.length === 0) return async () => false;
    const [rows] = await database.query<RowDataPacket[]>(ENTRIES, [purchases.map(takenId)]);
    const known = new Set(rows.map(row => row.id as string));
    return async purchase => known.has(takenId(purchase)) || isRemembered(purchase);
  }

  /** Asks for more pieces than there can be: Sluice says that the id had another number, or that there are too few. */
  async function isRemembered(purchase: Purchase): Promise<boolean> {
    try {
      await stock.debit(String(purchase.product_id), Number.MAX_SAFE_INTEGER, { id: takenId(purchase) });
      return true;
    } catch (error) {
      if (error instanceof IdempotencyKeyReusedError) return true;
      if (error instanceof InsufficientPointsError) return false;
      throw error;
    }
  }

  /** After a refusal, for an order that has a piece. */
  async function giveBack({ order_id, product_id }: Purchase): Promise<void> {
    await stock.credit(String(product_id), 1, { id: `returned:${order_id}` });
  }

  return { take, pay, credit, takenBy, giveBack };
}
