/** Walks through the keys that Redis knows of, page by page, so that memory does not grow with their number. */
import { Cluster, type Redis } from 'ioredis';
import type { ColdKey } from './cold-read.ts';
import { type Keys, type Kind, splitItem } from './keys.ts';
import type { RedisConnection } from './redis.ts';

/**
 * Everything that is live, on every master. What is there all the time is given at least once; a key may be given
 * twice, and keys of an old epoch are given too.
 * @param pageSize about how many keys Redis looks at for a page; a page may be empty
 */
export async function* liveKeys(
  redis: RedisConnection,
  keys: Keys,
  pageSize: number,
): AsyncGenerator<ColdKey[]> {
  const nodes: Redis[] = redis instanceof Cluster ? redis.nodes('master') : [redis as Redis];
  // "{namespace:partition}:kind:epoch:item"
  const live = new RegExp(`^\\{${keys.namespace.replace(/\./g, '\\.')}:\\d+\\}:([cp]):[^:]+:(?=.*:)`, 's');
  for (const node of nodes) {
    for (let cursor = '0'; ; ) {
      const pattern = `{${keys.namespace}:*}:[cp]:*`;
      const [next, names] = await node.scan(cursor, 'MATCH', pattern, 'COUNT', pageSize, 'TYPE', 'string');
      yield names.flatMap(name => {
        const match = live.exec(name);
        return match ? [{ kind: match[1] as Kind, ...splitItem(name.slice(match[0].length)) }] : [];
      });
      if (next === '0') break;
      cursor = next;
    }
  }
}

/** Everything that is pending or in flight, as `liveKeys` gives what is live. */
export async function* waitingKeys(
  redis: RedisConnection,
  keys: Keys,
  pageSize: number,
): AsyncGenerator<ColdKey[]> {
  for (let partition = 0; partition < keys.partitions; partition++) {
    const base = keys.state(partition).slice(0, -'state'.length);
    for (const [kind, hash] of [
      ['c', 'counters'],
      ['p', 'accounts'],
    ] as const) {
      for (const source of [hash, `segment:${hash}`]) {
        for (let cursor = '0'; ; ) {
          const [next, fields] = await redis.hscan(base + source, cursor, 'COUNT', pageSize);
          yield fields
            // Fields alternate with values; what is no item begins with a mark, as names begin with a letter.
            .filter((field, at) => at % 2 === 0 && /^[A-Za-z][^:]*:/.test(field))
            .map(item => ({ kind, ...splitItem(item) }));
          if (next === '0') break;
          cursor = next;
        }
      }
    }
  }
}
