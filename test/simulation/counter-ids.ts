/** Ids of counters, as counter-ids.lua and write-counter-ids.lua keep them. */
import type { CounterId, CounterIds, RedisData } from './redis.ts';
import { limits, type World } from './world.ts';

export function findCounterId(data: RedisData, digest: string): string | undefined {
  const { counterIds } = data;
  return remembered(counterIds, placeOf(counterIds, digest)).find(one => one.digest === digest)?.answer;
}

export function addCounterId({ now, redis: { data }, bugs }: World, digest: string, answer: string): void {
  const ids = data.counterIds;
  const { idempotencyWindowMs, idempotencyLimit, idSlices } = limits;
  const left = ids.expires - now - idempotencyWindowMs;
  if (left < 0 || left > idempotencyWindowMs / idSlices) {
    if (ids.open > 0) {
      data.counterIdSlices.push({ expires: ids.expires, count: ids.open });
      ids.last++;
      ids.open = 0;
    }
    ids.expires = now + idempotencyWindowMs + Math.floor(idempotencyWindowMs / idSlices);
  }
  write(ids, placeOf(ids, digest), bucket => [...bucket, { digest, slice: ids.last, answer }]);
  ids.open++;
  ids.kept++;
  ids.stored++;
  while (ids.kept > idempotencyLimit && forgetSlice(data));
  if (ids.stored > limits.idsPerBucket * ids.count) split(ids, bugs.idsLeftBehind ?? false);
}

/** Forgets expired slices, and walks over buckets if many forgotten ids are in them. */
export function trimCounterIds({ now, redis: { data }, bugs }: World): void {
  const ids = data.counterIds;
  if (ids.kept === 0) return;
  const expires = () => data.counterIdSlices[0]?.expires ?? ids.expires;
  const isOldestExpired = expires() <= now;
  while (expires() <= now && forgetSlice(data));
  if (expires() <= now || (isOldestExpired && bugs.youngIds)) {
    data.counterIds = noCounterIds();
    data.counterIdSlices = [];
    return;
  }
  if (ids.cursor === 0 && ids.stored <= ids.kept * 1.25) return;
  write(ids, ids.cursor, bucket => bucket);
  ids.cursor = (ids.cursor + 1) % ids.count;
}

export function noCounterIds(): CounterIds {
  return {
    buckets: new Map(),
    ...{ count: 1, first: 0, last: 0, kept: 0, stored: 0, open: 0, expires: 0, cursor: 0 },
  };
}

function forgetSlice({ counterIds, counterIdSlices }: RedisData): boolean {
  const oldest = counterIdSlices.shift();
  if (!oldest) return false;
  counterIds.first++;
  counterIds.kept -= oldest.count;
  return true;
}

function remembered({ buckets, first }: CounterIds, place: number): readonly CounterId[] {
  return (buckets.get(place) ?? []).filter(({ slice }) => slice >= first);
}

/** Writes a bucket without what is forgotten. */
function write(
  ids: CounterIds,
  place: number,
  change: (bucket: readonly CounterId[]) => readonly CounterId[],
): void {
  const before = remembered(ids, place);
  ids.stored -= (ids.buckets.get(place) ?? []).length - before.length;
  ids.buckets.set(place, change(before));
}

/** Makes a new bucket from half of another. */
function split(ids: CounterIds, leavesIds: boolean): void {
  const place = ids.count - halfOf(ids.count + 1);
  const isMoved = ({ digest }: CounterId) => placeOf(ids, digest) === ids.count - 1;
  ids.count++;
  const moved = leavesIds ? [] : remembered(ids, place).filter(isMoved);
  write(ids, place, bucket => bucket.filter(one => !moved.includes(one)));
  ids.buckets.set(ids.count - 1, moved);
}

/** The largest power of two below the number of buckets. */
function halfOf(count: number): number {
  let half = 1;
  while (2 * half < count) half *= 2;
  return half;
}

function placeOf({ count }: CounterIds, digest: string): number {
  if (count === 1) return 0;
  const half = halfOf(count);
  const place = spread(digest) % (2 * half);
  return place < count ? place : place - half;
}

function spread(digest: string): number {
  let hash = 0;
  for (let at = 0; at < digest.length; at++) hash = (hash * 131 + digest.charCodeAt(at)) % 1_000_003;
  return hash;
}
