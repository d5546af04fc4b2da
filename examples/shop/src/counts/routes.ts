/**
 * Counts: views of pages and products, and likes of products.
 *
 * The pattern: write-behind. An update is applied in Redis and acknowledged; workers write MySQL later, many updates
 * in one row. Use it for numbers that change more often than a database commits.
 *
 * - A view is one more. The caller may name its request (`Idempotency-Key`): then a repeated one counts once, as long
 *   as Sluice remembers ids of counters, an hour by default.
 * - A like counts once for ever. So it is an entry of points: its id, the user, is unique in the product's account for
 *   all time, and the entry is the row that says who likes what.
 *
 * It does not know whether a page or product exists, and nobody can take a like back.
 */

import { BODY_ID, ID, nameOf } from '../requests.ts';
import type { Part } from '../shop.ts';

interface PageRoute {
  Params: { page: string };
}
interface ProductRoute {
  Params: { id: string };
}
interface LikeRoute extends ProductRoute {
  Body: { user: number };
}
interface DaysRoute extends ProductRoute {
  Querystring: { days?: string };
}

const tags = ['counts'];
const params = { type: 'object', properties: { id: ID } };
const likeBody = { type: 'object', required: ['user'], properties: { user: BODY_ID } };
/** 1 to 92. */
const daysQuery = {
  type: 'object',
  properties: { days: { type: 'string', pattern: '^([1-9]|[1-8][0-9]|9[0-2])$' } },
};
const DAY_MS = 24 * 60 * 60 * 1000;

/** Dates in UTC, today's first. */
function lastDays(count: number): string[] {
  const today = Date.now();
  return Array.from({ length: count }, (_, ago) => new Date(today - ago * DAY_MS).toISOString().slice(0, 10));
}

export const counts: Part = (api, { sluice }) => {
  const pageViews = sluice.counter('page_views');
  const views = sluice.counter('product_views');
  const dailyViews = sluice.counter('product_views_daily');
  const likes = sluice.points('product_likes');

  const page = { tags, summary: 'Count a view of a page' };
  api.post<PageRoute>('/pages/:page/views', { schema: page }, async (request, reply) => {
    await pageViews.increment(request.params.page, 1, nameOf(request));
    return reply.status(204).send();
  });
  const pageCount = { tags, summary: 'Views of a page' };
  api.get<PageRoute>('/pages/:page/views', { schema: pageCount }, async request => {
    return { views: await pageViews.get(request.params.page) };
  });

  const view = { tags, summary: 'Count a view of a product', params };
  api.post<ProductRoute>('/products/:id/views', { schema: view }, async (request, reply) => {
    const { id } = request.params;
    // Both go in the same call to Redis. If one fails, the caller repeats the request, and its name counts once in each;
    // but of days, in both if midnight (UTC) was between.
    await Promise.all([
      views.increment(id, 1, nameOf(request)),
      dailyViews.increment(`${id}:${lastDays(1)[0]}`, 1, nameOf(request)),
    ]);
    return reply.status(204).send();
  });
  const viewCount = {
    tags,
    summary: 'Views of a product, in all and by day',
    params,
    querystring: daysQuery,
  };
  api.get<DaysRoute>('/products/:id/views', { schema: viewCount }, async request => {
    const { id } = request.params;
    const days = lastDays(Number(request.query.days ?? 7));
    const [all, daily] = await Promise.all([
      views.get(id),
      dailyViews.getMany(days.map(day => `${id}:${day}`)),
    ]);
    return { views: all, days: days.map((day, at) => ({ day, views: daily[at] })) };
  });

  const like = { tags, summary: 'A user likes a product, once', params, body: likeBody };
  api.post<LikeRoute>('/products/:id/likes', { schema: like }, async (request, reply) => {
    const id = `user:${request.body.user}`;
    const { duplicate } = await likes.credit(request.params.id, 1, { id });
    return reply.status(duplicate ? 200 : 201).send({ likes: await likes.balance(request.params.id) });
  });
  const likeCount = { tags, summary: 'Likes of a product', params };
  api.get<ProductRoute>('/products/:id/likes', { schema: likeCount }, async request => {
    return { likes: await likes.balance(request.params.id) };
  });
};
