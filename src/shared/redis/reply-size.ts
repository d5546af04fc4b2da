/**
 * How large requests to Redis and their replies may be. Redis closes a connection whose replies, not yet sent, are over
 * client-output-buffer-limit normal, or whose request is over client-query-buffer-limit; a value over proto-max-bulk-len
 * is refused. The last two are 1 MB at least. The first may be anything, and below `LEAST_REPLIES` it is refused.
 */
import { RedisUnsuitableError } from '../errors.ts';

/** A server that can be asked for its configuration. */
interface Asked {
  config(command: 'GET', name: string): Promise<unknown>;
}

/** client-output-buffer-limit normal at least, bytes. */
export const LEAST_REPLIES = 1024 * 1024;
/**
 * Bytes of long replies that a process lets wait on a connection. Redis counts what it allocated for them, up to a quarter
 * more than they have, and short replies of other calls come on top.
 */
export const REPLY_BYTES = 512 * 1024;
/** Bytes of the updates in one call. */
export const REQUEST_BYTES = 512 * 1024;

/**
 * Does nothing where CONFIG is not allowed, as on managed services: their limit is off by default.
 * @throws RedisUnsuitableError
 */
export async function checkReplyLimit(nodes: readonly Asked[], address: string): Promise<void> {
  for (const node of nodes) {
    const value = await node.config('GET', 'client-output-buffer-limit').catch(() => '');
    // `normal HARD SOFT SECONDS slave ...`, and 0 for no limit.
    const hard = Number(/\bnormal (\d+)/.exec(String(value))?.[1] ?? 0);
    if (hard > 0 && hard < LEAST_REPLIES)
      throw new RedisUnsuitableError(
        `Redis at ${address} has client-output-buffer-limit normal ${hard}, so it would close connections during long answers; set it to at least ${LEAST_REPLIES}, or to 0 for no limit.`,
      );
  }
}

/** Does `use` with each item, at most so many at a time, so that short replies do not add up. Results are in order. */
export async function abreast<Item, Result>(
  items: readonly Item[],
  most: number,
  use: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results = new Array<Result>(items.length);
  const rest = items.entries();
  const one = async () => {
    for (const [at, item] of rest) results[at] = await use(item);
  };
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, one));
  return results;
}
