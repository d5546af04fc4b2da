/**
 * The stock of each product, which cannot be oversold.
 *
 * The pattern: take first, ask never. A purchase is a debit of points with a floor of 0: Redis compares and takes in
 * one script, so of any number of buyers in any number of processes only as many succeed as there are pieces. Use it
 * for anything of which there is a limited number: seats, coupons, invitations.
 *
 * A purchase needs the caller's name for it (`Idempotency-Key`), such as the order: repeated, it takes once. The
 * account is the product's, so the name counts with its user; the body says who that is.
 *
 * It does not keep pieces for a basket that may be given up; `hold` and `post` of Sluice do that.
 */
import { adminOnly, BODY_ID, entryOf, ID } from '../requests.ts';
import type { Part } from '../shop.ts';

interface StockRoute {
  Params: { id: string };
}
interface PiecesRoute extends StockRoute {
  Body: { pieces: number };
}
interface PurchaseRoute extends StockRoute {
  Body: { user: number; pieces: number };
}

const tags = ['stock'];
const params = { type: 'object', properties: { id: ID } };
const number = { type: 'integer', minimum: 1, maximum: 1_000_000 };
const restockBody = { type: 'object', required: ['pieces'], properties: { pieces: number } };
const buyBody = {
  type: 'object',
  required: ['user', 'pieces'],
  properties: { user: BODY_ID, pieces: number },
};

export const stock: Part = (api, shop) => {
  const pieces = shop.sluice.points('stock');

  const look = { tags, summary: 'Pieces of a product that are left', params };
  api.get<StockRoute>('/products/:id/stock', { schema: look }, async request => {
    return { pieces: await pieces.balance(request.params.id) };
  });
  const restock = { tags, summary: 'Pieces have arrived (operators only)', params, body: restockBody };
  api.post<PiecesRoute>(
    '/products/:id/stock',
    { schema: restock, preHandler: adminOnly(shop) },
    async (request, reply) => {
      const { params, body } = request;
      const options = { ...entryOf(request, 'restock'), reason: 'restock' };
      const { duplicate, value } = await pieces.credit(params.id, body.pieces, options);
      return reply.status(duplicate ? 200 : 201).send({ pieces: value });
    },
  );
  const buy = { tags, summary: 'Take pieces of a product; 409 if there are too few', params, body: buyBody };
  api.post<PurchaseRoute>('/products/:id/purchases', { schema: buy }, async (request, reply) => {
    const { params, body } = request;
    const options = { ...entryOf(request, `buy:${body.user}`), reason: 'purchase' };
    const { duplicate, value } = await pieces.debit(params.id, body.pieces, options);
    return reply.status(duplicate ? 200 : 201).send({ pieces: value });
  });
};
