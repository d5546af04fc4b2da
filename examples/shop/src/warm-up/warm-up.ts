/**
 * Fills the cache before the first request with what most will ask for.
 *
 * The pattern: Sluice's ranks say what was viewed most; a process reads that through the cache before it listens. The
 * start waits for it only shortly, and never fails with it. Use it if a release or an empty Redis would send the whole
 * traffic to the database. It does not guess: what was never viewed is loaded by its first reader.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';
import type { Shop } from '../shop.ts';

/** What may be a product's id; any text may have been counted. */
const ID = /^[1-9][0-9]{0,14}$/;

export async function warmUp(
  { cache, sluice, settings: { cache: settings } }: Shop,
  log: FastifyBaseLogger,
  read: (id: string) => Promise<unknown>,
): Promise<void> {
  if (settings.warmUp === 0) return;
  const patience = sleep(settings.warmUpMs, undefined, { ref: false });
  const fill = async () => {
    // Before that, this process could not keep what it reads.
    await Promise.race([cache.listening, patience]);
    const { members } = await sluice.counter('product_views').board.top(settings.warmUp);
    const ids = members.map(({ key }) => key).filter(key => ID.test(key));
    const results = await Promise.allSettled(ids.map(read));
    const failed = results.filter(({ status }) => status === 'rejected').length;
    log.info({ products: ids.length, failed }, 'the cache is warm');
  };
  // For example RANKS_BUILDING: nothing was counted yet, or a worker is at it.
  const filled = fill().catch(error => log.warn({ err: error }, 'the cache begins cold'));
  await Promise.race([filled, patience]);
}
