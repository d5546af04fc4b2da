/** `POST /payments`, and the sweep. `payments.ts` says how a payment goes. */
import { setInterval } from 'node:timers/promises';
import { HttpError } from '../errors.ts';
import { BODY_ID } from '../requests.ts';
import type { Part } from '../shop.ts';
import { createPayments } from './payments.ts';

interface PaymentRoute {
  Body: { order: string; product: number; user: number };
}

const ORDER = { type: 'string', pattern: '^[A-Za-z0-9-]{1,64}$' };
const properties = { order: ORDER, product: BODY_ID, user: BODY_ID };
const body = { type: 'object', required: ['order', 'product', 'user'], properties };
const schema = { summary: 'Pay for a piece of a product, once for each order', tags: ['payments'], body };

export const payments: Part = (api, shop) => {
  const { begin, finish, sweep } = createPayments(shop);
  api.post<PaymentRoute>('/payments', { schema }, async ({ body: { order, product, user } }) => {
    const begun = await begin(order, product, user);
    if (!begun) throw new HttpError(404, 'NOT_FOUND', 'There is no such product or no such user.');
    if (begun.product_id !== product || begun.user_id !== user)
      throw new HttpError(422, 'ORDER_REUSED', 'This order was for another product or user.');
    const { state, cents } = await finish(order);
    if (state === 'sold_out') throw new HttpError(409, 'SOLD_OUT', 'No piece is left; nothing was charged.');
    if (state === 'declined') throw new HttpError(402, 'DECLINED', 'The payment was declined.');
    return { order, product, user, cents };
  });

  const closing = new AbortController();
  async function sweepAgain(): Promise<void> {
    for await (const _ of setInterval(shop.settings.paymentGraceMs / 2, undefined, closing))
      await sweep(closing.signal).catch((err: unknown) =>
        api.log.error({ err }, 'the next sweep tries again'),
      );
  }
  const sweeping = sweepAgain().catch(() => 'closing');
  api.addHook('onClose', async () => {
    closing.abort();
    await sweeping;
  });
};
