/**
 * The steps of a purchase: take a piece, charge, credit points.
 *
 * The pattern: each step has the order as its idempotency key, and whoever keeps the key decides whether the step
 * happened: Sluice for pieces and points, the provider for money. So a step may run any number of times, also at once,
 * and has the same effect and the same result. Use it for whatever spans several systems, since no transaction does.
 *
 * What it does not do: it knows no order of the steps and remembers nothing; `payments.ts` does. Ids are known for an
 * hour without MySQL (Sluice's window); a step that is repeated later may be refused although it happened.
 */
import { InsufficientPointsError } from 'sluice';
import type { Shop } from '../shop.ts';
import { charge } from './provider.ts';

export interface Purchase {
  readonly order_id: string;
  readonly product_id: number;
  readonly user_id: number;
  readonly cents: number;
}

export function purchaseSteps({ sluice, database }: Shop) {
  const stock = sluice.points('stock');
  const loyalty = sluice.points('loyalty');

  /** @returns false if no piece is left */
  async function take({ order_id, product_id }: Purchase): Promise<boolean> {
    try {
      await stock.debit(String(product_id), 1, { id: `payment:${order_id}`, reason: 'payment' });
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
   * After a refusal. One process may have found nothing while another one took a piece that had just arrived, so this
   * takes it, which does nothing if it was taken before, and gives it back.
   */
  async function giveBack(purchase: Purchase): Promise<void> {
    const { order_id, product_id } = purchase;
    if (await take(purchase)) await stock.credit(String(product_id), 1, { id: `returned:${order_id}` });
  }

  return { take, pay, credit, giveBack };
}
