/**
 * What the shop counts: views of pages, loyalty points, and a game's best scores.
 *
 * The pattern: write-behind. An update is applied in Redis and acknowledged; workers write MySQL later, in batches.
 */
import type { FastifyRequest } from 'fastify';
import type { PointsOptions } from 'sluice';
import type { Part } from '../shop.ts';

interface PageRoute {
  Params: { page: string };
}
interface AccountRoute {
  Params: { account: string };
}
interface EntryRoute extends AccountRoute {
  Body: { amount: number; reason?: string };
}
interface ScoreRoute {
  Params: { player: string };
  Body: { score: number };
}
interface HistoryRoute extends AccountRoute {
  Querystring: { limit?: string; before?: string };
}

/** Checks only the shape; Sluice checks the values. */
const entrySchema = {
  body: {
    type: 'object',
    required: ['amount'],
    properties: { amount: { type: 'number' }, reason: { type: 'string' } },
  },
} as const;

/** The same for a score. */
const scoreSchema = {
  body: { type: 'object', required: ['score'], properties: { score: { type: 'number' } } },
} as const;

/** The caller's id for a request, which counts once if it is repeated. */
function nameOf(request: FastifyRequest): { id?: string } {
  const id = request.headers['idempotency-key'];
  return typeof id === 'string' ? { id } : {};
}

/** Sluice refuses an entry without an id, and so a request without the header. */
function entryOf(request: FastifyRequest<EntryRoute>): PointsOptions {
  const { reason } = request.body;
  return { ...(nameOf(request) as { id: string }), ...(reason === undefined ? {} : { reason }) };
}

export const counts: Part = (api, { sluice }) => {
  const views = sluice.counter('page_views');
  const loyalty = sluice.points('loyalty');
  const bestScore = sluice.value('best_score');
  const lastSeen = sluice.value('last_seen');

  api.post<PageRoute>('/pages/:page/views', async (request, reply) => {
    await views.increment(request.params.page, 1, nameOf(request));
    return reply.status(204).send();
  });
  api.get<PageRoute>('/pages/:page/views', async request => {
    return { views: await views.get(request.params.page) };
  });

  api.post<EntryRoute>('/accounts/:account/credits', { schema: entrySchema }, async (request, reply) => {
    const { params, body } = request;
    const { duplicate, value } = await loyalty.credit(params.account, body.amount, entryOf(request));
    return reply.status(duplicate ? 200 : 201).send({ balance: value });
  });
  api.post<EntryRoute>('/accounts/:account/debits', { schema: entrySchema }, async (request, reply) => {
    const { params, body } = request;
    const { duplicate, value } = await loyalty.debit(params.account, body.amount, entryOf(request));
    return reply.status(duplicate ? 200 : 201).send({ balance: value });
  });
  api.get<AccountRoute>('/accounts/:account/balance', async request => {
    return { balance: await loyalty.balance(request.params.account) };
  });
  api.get<HistoryRoute>('/accounts/:account/history', async request => {
    const { limit, ...before } = request.query;
    const page = { ...before, ...(limit === undefined ? {} : { limit: Number(limit) }) };
    return { entries: await loyalty.history(request.params.account, page) };
  });

  // A put needs no id: to send a score again changes nothing.
  api.post<ScoreRoute>('/players/:player/scores', { schema: scoreSchema }, async (request, reply) => {
    const { player } = request.params;
    await Promise.all([bestScore.put(player, request.body.score), lastSeen.put(player, Date.now())]);
    return reply.status(204).send();
  });
  api.get<ScoreRoute>('/players/:player', async request => {
    const { player } = request.params;
    const [{ rank, value, exact }, seen] = await Promise.all([
      bestScore.board.rank(player),
      lastSeen.get(player),
    ]);
    return { best: value, rank, exact, lastSeen: seen === null ? null : new Date(seen) };
  });
  api.get<{ Querystring: { count?: string } }>('/leaderboard', async request => {
    const { members, exact } = await bestScore.board.top(Number(request.query.count ?? 10));
    return { exact, players: members.map(({ rank, key, value }) => ({ rank, player: key, best: value })) };
  });
};
