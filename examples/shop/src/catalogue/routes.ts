/**
 * Products and users, read through the cache.
 *
 * The pattern: each answer says how it came about (`source`, `tookMs`, and `X-Cache: HIT`, `MISS` or `STALE`), and each
 * route has a twin without the cache to compare with. A change commits inside `cache.change`, so no entry outlives it.
 * Write-through then loads the row at once: to store what the request said would let the slower of two writers store
 * the older value. Use it for any table that is read by its key.
 *
 * It does not search, and a page of a list may be as old as lists may be.
 */
import type { FastifyReply } from 'fastify';
import type { Answer } from '../cache/cache.ts';
import { HttpError } from '../errors.ts';
import type { Item } from '../loading/loader.ts';
import { adminOnly, ID } from '../requests.ts';
import type { Part } from '../shop.ts';
import { openTables, type ProductChange } from '../tables/tables.ts';
import { warmUp } from '../warm-up/warm-up.ts';

interface OneRoute {
  Params: { id: string };
}
interface ListRoute {
  Querystring: { category?: string; after?: string };
}
interface ChangeRoute extends OneRoute {
  Body: ProductChange;
}

const tags = ['catalogue'];
const params = { type: 'object', properties: { id: ID } };
const text = (maxLength: number) => ({ type: 'string', minLength: 1, maxLength });
const querystring = {
  type: 'object',
  properties: { category: text(40), after: { type: 'string', pattern: '^[0-9]{1,15}$' } },
};
const body = {
  type: 'object',
  minProperties: 1,
  additionalProperties: false,
  properties: {
    name: text(120),
    category: text(40),
    description: text(10_000),
    priceCents: { type: 'integer', minimum: 0, maximum: 4_294_967_295 },
  },
};

const unknown = (name: string) =>
  new HttpError(404, `UNKNOWN_${name.toUpperCase()}`, `There is no such ${name}.`);

/** Reads, and says how. `null` is 404. */
async function answer<T>(reply: FastifyReply, name: string, read: Promise<Answer<T>>): Promise<object> {
  const began = performance.now();
  const { value, result } = await read;
  reply.header('x-cache', result);
  if (value === null) throw unknown(name);
  const tookMs = Math.round((performance.now() - began) * 1000) / 1000;
  return { source: result === 'MISS' ? 'database' : 'cache', tookMs, [name]: value };
}

/** The other way to read, with the same answer. */
const pastCache = async <T>({ load }: Item<T>): Promise<Answer<T>> => ({
  value: await load(),
  result: 'MISS',
});

export const catalogue: Part = async (api, shop) => {
  const tables = openTables(shop);
  const product = (id: string) =>
    ({ kind: 'product', id, tags: ['products'], load: () => tables.product(id) }) as const;
  const user = (id: string) => ({ kind: 'user', id, tags: ['users'], load: () => tables.user(id) }) as const;
  const list = ({ category = '', after = '0' }: ListRoute['Querystring']) =>
    ({
      kind: 'list',
      id: `${category}/${Number(after)}`,
      tags: ['products', `list:${category}`],
      load: () => tables.products(category, after),
    }) as const;

  const throughCache = <T>(item: Item<T>) => shop.cache.read(item);
  for (const [path, how, read] of [
    ['', '', throughCache],
    ['/nocache', ', past the cache', pastCache],
  ] as const) {
    const page = { tags, summary: `A page of products${how}`, querystring };
    api.get<ListRoute>(`/products${path}`, { schema: page }, ({ query }, reply) =>
      answer(reply, 'products', read(list(query))),
    );
    const one = { tags, summary: `A product${how}`, params };
    api.get<OneRoute>(`/products/:id${path}`, { schema: one }, ({ params }, reply) =>
      answer(reply, 'product', read(product(params.id))),
    );
    const who = { tags, summary: `A user${how}`, params };
    api.get<OneRoute>(`/users/:id${path}`, { schema: who }, ({ params }, reply) =>
      answer(reply, 'user', read(user(params.id))),
    );
  }

  const put = { tags, summary: 'Change a product (operators only)', params, body };
  const options = { schema: put, preHandler: adminOnly(shop) };
  api.put<ChangeRoute>('/products/:id', options, async ({ params: { id }, body }) => {
    const changed = await tables.change(id, body, async (before, commit) => {
      const lists = ['', before.category, body.category ?? before.category].map(name => `list:${name}`);
      await shop.cache.change({ kind: 'product', id, tags: lists }, commit, () => tables.settled(id));
      return { ...before, ...body };
    });
    if (changed === null) throw unknown('product');
    if (shop.settings.cache.write === 'write-through') await shop.cache.read(product(id));
    return { product: changed };
  });

  await warmUp(shop, api.log, id => shop.cache.read(product(id)));
};
