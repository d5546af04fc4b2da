/**
 * Limits the size of requests to Redis and of their replies. Redis closes a connection if its unsent replies
 * exceed client-output-buffer-limit normal, or a request exceeds client-query-buffer-limit. It refuses a
 * value over proto-max-bulk-len. The last two are at least 1 MB. The first has no minimum, so Sluice refuses
 * one below `LEAST_REPLIES`.
 */
import { RedisUnsuitableError } from '../errors.ts';

interface Asked {
  config(command: 'GET', name: string): Promise<unknown>;
}

/** Smallest client-output-buffer-limit normal, bytes. */
export const LEAST_REPLIES = 1024 * 1024;
/**
 * Most bytes of long replies that a process requests at a time on a connection. Redis counts the allocated
 * memory, which is up to a quarter more, and short replies of other calls add to it.
 */
export const REPLY_BYTES = 512 * 1024;
/** Bytes of the updates in one call. */
export const REQUEST_BYTES = 512 * 1024;

/**
 * Accepts a server that does not allow CONFIG, such as a managed service: its limit is off by default.
 * @throws RedisUnsuitableError
 */
export async function checkReplyLimit(nodes: readonly Asked[], address: string): Promise<void> {
  for (const node of nodes) {
    const value = await node.config('GET', 'client-output-buffer-limit').catch(() => '');
    // `normal HARD SOFT SECONDS slave ...`; 0 means no limit.
    const hard = Number(/\bnormal (\d+)/.exec(String(value))?.[1] ?? 0);
    if (hard > 0 && hard < LEAST_REPLIES)
      throw new RedisUnsuitableError(
        `Redis at ${address} has client-output-buffer-limit normal ${hard}, so it would close connections during long answers; set it to at least ${LEAST_REPLIES}, or to 0 for no limit.`,
      );
  }
}

/** Calls `use` for each item, `most` at a time, so that replies do not add up. Results are in order. */
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
