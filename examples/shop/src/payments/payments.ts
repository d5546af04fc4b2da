/**
 * A payment happens once for each order, under concurrency and after a crash.
 *
 * The pattern: the order's row is the intent, and it is unique. It says how far the payment is; whoever finds it
 * unfinished goes on: a repeated request, or the sweep after a crash. Use it for what takes several steps in several
 * systems, each of which may be repeated (`../purchases/steps.ts`).
 *
 * What a lock cannot do: keep a second process out. It ends by time and its owner does not notice, in a pause of the
 * process, with a slow provider, after a failover. So here it only spares work: everything is right without it.
 *
 * What it does not do: no refunds, and it forgets no order. The caller says who `user` is: take it from the session.
 */
import { Redlock } from '@sesamecare-oss/redlock';
import type { RowDataPacket } from 'mysql2/promise';
import { type Purchase, purchaseSteps } from '../purchases/steps.ts';
import type { Shop } from '../shop.ts';

type State = 'begun' | 'taken' | 'paid' | 'done' | 'sold_out' | 'declined';
type Payment = RowDataPacket & Purchase & { readonly state: State };

type End = (left: Payment[]) => Promise<PromiseSettledResult<unknown>[]>;

const UNFINISHED: readonly State[] = ['begun', 'taken', 'paid'];
const REFUSED: readonly State[] = ['sold_out', 'declined'];
const LOCK_MS = 5000; // Longer than a payment takes.

export function createPayments(shop: Shop) {
  const { database, redis, settings } = shop;
  const { take, pay, credit, takenBy, giveBack } = purchaseSteps(shop);
  const locks = new Redlock([redis], { retryCount: 10, retryDelay: 100, retryJitter: 50 });

  /** What leads on from a state; the others are final. */
  const steps: Partial<Record<State, (payment: Payment) => Promise<State>>> = {
    begun: async payment => ((await take(payment)) ? 'taken' : 'sold_out'),
    taken: async payment => ((await pay(payment)) ? 'paid' : 'declined'),
    paid: async payment => credit(payment).then(() => 'done'),
  };

  async function read(order: string): Promise<Payment | undefined> {
    const [rows] = await database.query<Payment[]>('SELECT * FROM payments WHERE order_id = ?', [order]);
    return rows[0];
  }

  async function goOn(order: string): Promise<Payment> {
    for (;;) {
      const payment = (await read(order))!;
      const next = await steps[payment.state]?.(payment);
      if (next === undefined) return payment;
      // Nothing changes if another process has moved it meanwhile.
      await database.query('UPDATE payments SET state = ?, is_settled = ? WHERE order_id = ? AND state = ?', [
        next,
        next === 'done',
        order,
        payment.state,
      ]);
    }
  }

  /** Of any number of calls for an order, one inserts the row. @returns undefined without such a product or user */
  async function begin(order: string, product: number, user: number): Promise<Payment | undefined> {
    await database.query(
      `INSERT INTO payments (order_id, product_id, user_id, cents)
       SELECT ?, products.id, users.id, price_cents FROM products, users WHERE products.id = ? AND users.id = ?
       ON DUPLICATE KEY UPDATE order_id = payments.order_id`,
      [order, product, user],
    );
    return read(order);
  }

  /** Goes on to the end. It waits a second while another process does, and then goes on all the same. */
  async function finish(order: string): Promise<Payment> {
    const key = `${settings.namespace}:shop:payments:${order}`;
    const lock = await locks.acquire([key], LOCK_MS).catch(() => undefined);
    try {
      return await goOn(order);
    } finally {
      await lock?.release().catch(() => {});
    }
  }

  /**
   * Ends what nobody has touched for `paymentGraceMs`: what a crash or an outage left, then refusals, which are many
   * after a rush. By chance, so that those that fail do not keep back others, and processes mostly take different ones.
   */
  async function sweep(closing: AbortSignal): Promise<void> {
    const unfinished = await sweepAll(UNFINISHED, 20, finishAll, closing);
    const errors = [...unfinished, ...(await sweepAll(REFUSED, 500, settle, closing))];
    if (errors.length > 0) throw new AggregateError(errors, `${errors.length} payments are still unfinished`);
  }

  /** Goes on until a batch is not full, or one of it has failed. @returns the failures */
  async function sweepAll(states: readonly State[], count: number, end: End, closing: AbortSignal) {
    for (;;) {
      const [left] = await database.query<Payment[]>(
        `SELECT * FROM payments WHERE is_settled = 0 AND state IN (?) AND updated_at < NOW(3) - INTERVAL ? MICROSECOND
         ORDER BY RAND() LIMIT ?`,
        [states, settings.paymentGraceMs * 1000, count],
      );
      const errors = (await end(left)).flatMap(one =>
        one.status === 'rejected' ? [one.reason as Error] : [],
      );
      if (left.length < count || errors.length > 0 || closing.aborted) return errors;
    }
  }

  const finishAll: End = left => Promise.allSettled(left.map(({ order_id }) => finish(order_id)));

  /** No call is under way any more, so a refusal knows whether it has a piece. */
  async function settle(refused: Payment[]) {
    const taken = await takenBy(refused.filter(({ state }) => state === 'sold_out'));
    const ends = await Promise.allSettled(
      refused.map(async payment => {
        // Only an order with a piece is charged.
        if (payment.state === 'declined' || (await taken(payment))) await giveBack(payment);
      }),
    );
    const settled = refused.filter((_, at) => ends[at]!.status === 'fulfilled').map(one => one.order_id);
    if (settled.length > 0)
      await database.query('UPDATE payments SET is_settled = 1 WHERE order_id IN (?)', [settled]);
    return ends;
  }

  return { begin, finish, sweep };
}
