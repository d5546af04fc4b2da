/** What must hold of a board that a read calls exact. */
import type { World } from '../world.ts';
import { isExact } from './scripts.ts';

/**
 * Compares each score with the value: MySQL + quarantine + in flight + pending.
 * @returns what is wrong
 * @param rightOf undefined if a live value is to be deleted, and need not be right
 */
export function checkBoard(world: World, rightOf: (item: string) => number | undefined): string | undefined {
  if (!isExact(world)) return undefined;
  const { mysql, redis, ranked } = world;
  const { ranks, counters, accounts } = redis.data;
  const items = new Set(ranks.board.keys());
  for (const { item } of mysql.refused) items.add(item);
  for (const hash of [mysql.values, counters, accounts]) for (const item of hash.keys()) items.add(item);
  for (const item of items) {
    if (!item.startsWith(ranked!.prefix)) continue;
    // Others have written it, and nobody has repaired it since.
    if ((ranked!.written.get(item) ?? 0) > (ranks.seen.get(item) ?? 0)) continue;
    const value = rightOf(item);
    if (value === undefined) continue;
    const score = ranks.board.get(item);
    // A key with nothing in MySQL may be absent if its updates add up to 0, or stay after its only one was dropped.
    if ((isInMysql(world, item) ? score : (score ?? 0)) !== value)
      return `the board is exact and has ${score} for ${item}, not ${value}`;
  }
  return undefined;
}

function isInMysql({ mysql }: World, item: string): boolean {
  return mysql.values.has(item) || mysql.refused.some(row => row.item === item);
}
