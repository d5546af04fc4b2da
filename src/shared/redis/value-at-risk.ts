/** Points by program that only Redis has. Cheap enough for a scrape, whatever is pending. */
import type { RedisConnection } from './connections.ts';
import type { Keys } from './keys.ts';
import { abreast } from './reply-size.ts';
import { defineScript } from './script.ts';

/** Partitions asked at once; each sums up to a thousand accounts and answers two values for each program. */
const ABREAST = 4;

/**
 * @param most accounts of a partition that are summed; the rest is estimated
 * @returns a function that gives the points by program; programs without any are absent
 */
export function valueAtRisk(
  redis: RedisConnection,
  keys: Keys,
  most = 1000,
): () => Promise<Map<string, number>> {
  const read = defineScript<string[]>(
    redis,
    'value_at_risk',
    new URL('./value-at-risk.lua', import.meta.url),
  );
  return async () => {
    const points = new Map<string, number>();
    const partitions = Array.from({ length: keys.partitions }, (_, partition) => partition);
    const replies = await abreast(partitions, ABREAST, partition => read(keys.state(partition), most));
    for (const reply of replies)
      for (let index = 0; index < reply.length; index += 2)
        points.set(reply[index]!, (points.get(reply[index]!) ?? 0) + Number(reply[index + 1]));
    return points;
  };
}
