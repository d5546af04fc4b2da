/**
 * What operators do with the cache: look at it, and clear it.
 *
 * The pattern: clearing gives a tag a new version in Redis and tells all processes, so it costs the same for ten entries
 * and for a million. Use it when somebody changed tables by hand. It does not free memory: entries of an old version
 * stay until Redis evicts them.
 */
import { EVERYTHING } from '../levels/shared.ts';
import { adminOnly } from '../requests.ts';
import type { Part, Shop } from '../shop.ts';

interface ClearRoute {
  Body: { tag?: string };
}

const tags = ['cache'];
const clearBody = {
  type: 'object',
  additionalProperties: false,
  properties: { tag: { type: 'string', minLength: 1, maxLength: 100 } },
};

/** `used_memory` is a number of bytes. `used_memory_human`, "1.05M", is for people, and 20 times less exact. */
async function sizeOf({ cacheRedis }: Shop) {
  const [keys, info] = await Promise.all([cacheRedis.dbsize(), cacheRedis.info('memory')]);
  return { keys, memoryBytes: Number(/^used_memory:(\d+)/m.exec(info)?.[1]) };
}

export const cacheUpkeep: Part = (api, shop) => {
  const look = { tags, summary: 'Hits and misses of this process; keys and memory of the cache' };
  api.get('/cache/stats', { schema: look }, async () => {
    const counts = { hit: 0, miss: 0, stale: 0, failed: 0 };
    for (const { value, labels } of (await shop.cache.reads.get()).values)
      counts[labels.result as keyof typeof counts] += value;
    const reads = Object.values(counts).reduce((sum, count) => sum + count, 0);
    const size = await sizeOf(shop).catch(() => ({ keys: null, memoryBytes: null }));
    return {
      hits: counts.hit,
      misses: counts.miss,
      stale: counts.stale,
      failed: counts.failed,
      hitRate: reads === 0 ? null : counts.hit / reads,
      localKeys: shop.cache.localEntries,
      ...size,
    };
  });

  const clear = { tags, summary: 'Clear a tag, or everything (operators only)', body: clearBody };
  api.post<ClearRoute>(
    '/cache/clear',
    { schema: clear, preHandler: adminOnly(shop) },
    async (request, reply) => {
      const tag = request.body.tag ?? EVERYTHING;
      const isKnown = await shop.cache.clear(tag);
      // 202: the cache's Redis is away. This process reads past it until it has heard.
      return reply.status(isKnown ? 200 : 202).send({ cleared: tag });
    },
  );
};
