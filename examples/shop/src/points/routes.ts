/**
 * Loyalty points: credits, debits, gifts from account to account, and the history of each.
 *
 * The pattern: a ledger behind a live balance. Sluice checks the floor and the id in Redis, in one script, and answers;
 * each entry becomes a row of the ledger. Use it for what belongs to somebody: nothing is lost, doubled or overdrawn.
 *
 * Each entry needs a name of the caller's (`Idempotency-Key`), which counts once in its account for ever. A gift is
 * final when its debit is accepted; the credit of the other account follows within a second.
 *
 * It does not ask whose account it is: a real service takes the account from the session.
 */
import type { FastifyRequest } from 'fastify';
import { entryOf } from '../requests.ts';
import type { Part } from '../shop.ts';

interface AccountRoute {
  Params: { account: string };
}
interface EntryRoute extends AccountRoute {
  Body: { amount: number; reason?: string };
}
interface GiftRoute {
  Body: { from: string; to: string; amount: number; reason?: string };
}
interface HistoryRoute extends AccountRoute {
  Querystring: { limit?: string; before?: string };
}

const tags = ['points'];
const text = { type: 'string' };
const number = { type: 'number' };
/** Checks only the shape; Sluice checks the values. */
const body = { type: 'object', required: ['amount'], properties: { amount: number, reason: text } };
const giftBody = {
  type: 'object',
  required: ['from', 'to', 'amount'],
  properties: { from: text, to: text, amount: number, reason: text },
};
const querystring = { type: 'object', properties: { limit: text, before: text } };

function optionsOf(request: FastifyRequest<{ Body: { reason?: string } }>) {
  const { reason } = request.body;
  return { ...entryOf(request as FastifyRequest), ...(reason === undefined ? {} : { reason }) };
}

export const points: Part = (api, { sluice }) => {
  const loyalty = sluice.points('loyalty');

  const credit = { tags, summary: 'Give points to an account', body };
  api.post<EntryRoute>('/accounts/:account/credits', { schema: credit }, async (request, reply) => {
    const { params, body } = request;
    const { duplicate, value } = await loyalty.credit(params.account, body.amount, optionsOf(request));
    return reply.status(duplicate ? 200 : 201).send({ balance: value });
  });
  const debit = { tags, summary: 'Take points from an account, never below 0', body };
  api.post<EntryRoute>('/accounts/:account/debits', { schema: debit }, async (request, reply) => {
    const { params, body } = request;
    const { duplicate, value } = await loyalty.debit(params.account, body.amount, optionsOf(request));
    return reply.status(duplicate ? 200 : 201).send({ balance: value });
  });
  const gift = { tags, summary: 'Give points of one account to another', body: giftBody };
  api.post<GiftRoute>('/gifts', { schema: gift }, async (request, reply) => {
    const { from, to, amount } = request.body;
    const { duplicate, value } = await loyalty.transfer(from, to, amount, optionsOf(request));
    return reply.status(duplicate ? 200 : 201).send({ balance: value });
  });

  api.get<AccountRoute>(
    '/accounts/:account/balance',
    { schema: { tags, summary: 'Balance of an account' } },
    async request => ({ balance: await loyalty.balance(request.params.account) }),
  );
  const history = { tags, summary: 'Entries of an account, newest first', querystring };
  api.get<HistoryRoute>('/accounts/:account/history', { schema: history }, async request => {
    const { limit, ...before } = request.query;
    const page = { ...before, ...(limit === undefined ? {} : { limit: Number(limit) }) };
    return { entries: await loyalty.history(request.params.account, page) };
  });
};
