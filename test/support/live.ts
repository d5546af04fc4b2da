/** Live values, as another client of Redis sees and changes them. */
import type { Redis } from 'ioredis';
import { type Kind, splitItem } from '../../src/shared/item.ts';
import type { Keys } from '../../src/shared/redis/keys.ts';

const HASHES = ['live:young', 'live:old'] as const;

interface Client {
  readonly redis: Redis;
  readonly keys: Keys;
}

/** The hashes of the item's partition, and its field in both. */
function fieldOf(keys: Keys, kind: Kind, item: string) {
  const partition = keys.partitionOf(splitItem(item).key);
  return { hashes: HASHES.map(hash => keys.of(partition, hash)), field: kind + item };
}

/** The value in each of the two hashes, the young one first; null where there is none. */
export function liveValues({ redis, keys }: Client, kind: Kind, item: string): Promise<(string | null)[]> {
  const { hashes, field } = fieldOf(keys, kind, item);
  return Promise.all(hashes.map(hash => redis.hget(hash, field)));
}

/** Overwrites the value where it is, or makes it live. */
export async function setLive({ redis, keys }: Client, kind: Kind, item: string, value: string | number) {
  const { hashes, field } = fieldOf(keys, kind, item);
  const isOld = (await redis.hexists(hashes[1]!, field)) === 1;
  await redis.hset(hashes[isOld ? 1 : 0]!, field, value);
}

/** Makes a live value wrong. @throws Error if it is not live */
export async function addToLive(client: Client, kind: Kind, item: string, amount: number): Promise<void> {
  const value = (await liveValues(client, kind, item)).find(found => found !== null);
  if (value == null) throw new Error(`${kind}${item} is not live`);
  await setLive(client, kind, item, Number(value) + amount);
}

/** Makes the item cold. */
export async function dropLive({ redis, keys }: Client, kind: Kind, item: string): Promise<void> {
  const { hashes, field } = fieldOf(keys, kind, item);
  for (const hash of hashes) await redis.hdel(hash, field);
}

/** Makes all items of a partition cold. */
export async function dropAllLive({ redis, keys }: Client, partition: number): Promise<void> {
  await redis.unlink(HASHES.map(hash => keys.of(partition, hash)));
}

/** The live items of a kind. */
export async function liveItems({ redis, keys }: Client, kind: Kind): Promise<string[]> {
  const partitions = Array.from({ length: keys.partitions }, (_, partition) => partition);
  const hashes = partitions.flatMap(partition => HASHES.map(hash => keys.of(partition, hash)));
  const fields = (await Promise.all(hashes.map(hash => redis.hkeys(hash)))).flat();
  return fields.filter(field => field.startsWith(kind)).map(field => field.slice(1));
}
