/** Walks through the keys in Redis page by page, so that memory does not grow with their number. */
import { Cluster, type Redis } from 'ioredis';
import { type Kind, splitItem } from '../item.ts';
import type { RedisConnection } from './connections.ts';
import type { Keys } from './keys.ts';

/** A counter's key or an account. */
export interface LiveKey {
  readonly kind: Kind;
  readonly name: string;
  readonly key: string;
}

/** Names in the first page of a walk. */
const FIRST = 50;

/**
 * All keys with live values, on every primary. A key that is live during the whole walk comes at least once;
 * a key may come twice, and keys of old epochs come too.
 * @param pageSize approximate number of keys that Redis scans for a page, fewer if they are long; a page may
 * be empty
 */
export async function* liveKeys(
  redis: RedisConnection,
  keys: Keys,
  pageSize: number,
): AsyncGenerator<LiveKey[]> {
  const nodes: Redis[] = redis instanceof Cluster ? redis.nodes('master') : [redis as Redis];
  // "{namespace:partition}:kind:epoch:item"
  const live = new RegExp(`^\\{${keys.namespace.replace(/\./g, '\\.')}:\\d+\\}:([cp]):[^:]+:(?=.*:)`, 's');
  for (const node of nodes) {
    const count = new Count(pageSize);
    for (let cursor = '0'; ; ) {
      const pattern = `{${keys.namespace}:*}:[cp]:*`;
      const [next, names] = await node.scan(cursor, 'MATCH', pattern, 'COUNT', count.next, 'TYPE', 'string');
      count.seen(names);
      yield names.flatMap(name => {
        const match = live.exec(name);
        return match ? [{ kind: match[1] as Kind, ...splitItem(name.slice(match[0].length)) }] : [];
      });
      if (next === '0') break;
      cursor = next;
    }
  }
}

/** All keys that are pending or in flight, like `liveKeys`. */
export async function* waitingKeys(
  redis: RedisConnection,
  keys: Keys,
  pageSize: number,
): AsyncGenerator<LiveKey[]> {
  for (let partition = 0; partition < keys.partitions; partition++) {
    for (const [kind, hash] of [
      ['c', 'counters'],
      ['p', 'accounts'],
    ] as const) {
      for (const source of [hash, `segment:${hash}`] as const) {
        const count = new Count(pageSize);
        for (let cursor = '0'; ; ) {
          const [next, fields] = await redis.hscan(keys.of(partition, source), cursor, 'COUNT', count.next);
          count.seen(fields);
          yield fields
            // Fields alternate with values. A field that is no item starts with a prefix that is no letter.
            .filter((field, at) => at % 2 === 0 && /^[A-Za-z][^:]*:/.test(field))
            .map(item => ({ kind, ...splitItem(item) }));
          if (next === '0') break;
          cursor = next;
        }
      }
    }
  }
}

/** Most bytes of names that a page should have. */
const LONGEST_PAGE = 128 * 1024;

/**
 * Computes how many names to ask for, so that a page is not too long. Redis scans in hash order, so the next
 * names are about as long as the previous ones.
 */
class Count {
  next: number;
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
    this.next = Math.min(FIRST, most);
  }

  /** @param names everything in the reply's page */
  seen(names: readonly string[]): void {
    const bytes = names.reduce((sum, name) => sum + Buffer.byteLength(name), 0);
    // Grows at most twofold: a page without names tells nothing about the next one.
    const fitting = bytes === 0 ? this.#most : Math.floor((this.next * LONGEST_PAGE) / bytes);
    this.next = Math.max(1, Math.min(this.#most, this.next * 2, fitting));
  }
}
