/** The points that are nowhere but in Redis, for each program, at a cost that a scrape may have whatever is pending. */

import type { RedisConnection } from '../shared/redis/connections.ts';
import type { Keys } from '../shared/redis/keys.ts';
import { abreast } from '../shared/redis/reply-size.ts';
import { defineScript } from '../shared/redis/script.ts';

/** Of each partition; what is more is estimated. */
const MOST_ACCOUNTS = 1000;

/** Partitions asked at a time; each answers a line for each program, of a thousand accounts at most. */
const ABREAST = 4;

/** @returns a function that gives the points by program; programs without any are absent */
export function valueAtRisk(redis: RedisConnection, keys: Keys): () => Promise<Map<string, number>> {
  const read = defineScript<string[]>(
    redis,
    'value_at_risk',
    new URL('./value-at-risk.lua', import.meta.url),
  );
  return async () => {
    const points = new Map<string, number>();
    const partitions = Array.from({ length: keys.partitions }, (_, partition) => partition);
    const replies = await abreast(partitions, ABREAST, partition =>
      read(keys.state(partition), MOST_ACCOUNTS),
    );
    for (const reply of replies)
      for (let at = 0; at < reply.length; at += 2)
        points.set(reply[at]!, (points.get(reply[at]!) ?? 0) + Number(reply[at + 1]));
    return points;
  };
}
