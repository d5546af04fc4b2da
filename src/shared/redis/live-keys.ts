/** Walks through the keys in Redis page by page, so that memory does not grow with their number. */
import { isValueKind, type Kind, splitItem } from '../item.ts';
import type { RedisConnection } from './connections.ts';
import type { Keys } from './keys.ts';
import { parseBoards, readState } from './state.ts';

/** A counter's key, an account or a value's key. */
export interface LiveKey {
  readonly kind: Kind;
  readonly name: string;
  readonly key: string;
}

/** Names in the first page of a walk. */
const FIRST = 50;

/**
 * All keys with live values. A key that is live during the whole walk comes at least once; a key may come
 * twice.
 * @param pageSize approximate number of keys that Redis scans for a page, fewer if they are long; a page may
 * be empty
 */
export async function* liveKeys(
  redis: RedisConnection,
  keys: Keys,
  pageSize: number,
): AsyncGenerator<LiveKey[]> {
  const rotation = async (partition: number) =>
    (await readState(redis, keys, partition, ['rotated'])).rotated;
  for (let partition = 0; partition < keys.partitions; partition++) {
    for (let before = await rotation(partition), isWalked = false; !isWalked; ) {
      // Uses move values from old to young, so those that leave the first hash come with the second.
      for (const hash of ['live:old', 'live:young'] as const)
        for await (const fields of fieldsOf(redis, keys.of(partition, hash), pageSize))
          yield fields
            .filter(field => /^[cp<=>][^:]*:/.test(field))
            .map(field => ({ kind: field[0] as Kind, ...splitItem(field.slice(1)) }));
      // A rotation has moved values the other way.
      const after = await rotation(partition);
      isWalked = after === before;
      before = after;
    }
  }
}

/** All keys that are pending or in flight, like `liveKeys`. */
export async function* waitingKeys(
  redis: RedisConnection,
  keys: Keys,
  pageSize: number,
): AsyncGenerator<LiveKey[]> {
  for (let partition = 0; partition < keys.partitions; partition++)
    // A field that is no item starts with a prefix that is no letter.
    for (const [kind, hash] of [
      ['c', 'counters'],
      ['p', 'accounts'],
    ] as const)
      for (const source of [hash, `segment:${hash}`] as const)
        for await (const fields of fieldsOf(redis, keys.of(partition, source), pageSize))
          yield fields
            .filter(field => /^[A-Za-z<=>][^:]*:/.test(field))
            .map(field => pendingKey(kind, field));
}

/** A value's key is in the hash of counters, after its kind. */
function pendingKey(kind: Kind, field: string): LiveKey {
  const first = field[0] as Kind;
  return isValueKind(first) ? { kind: first, ...splitItem(field.slice(1)) } : { kind, ...splitItem(field) };
}

/** All keys on the boards of ranked names, like `liveKeys`. */
export async function* boardKeys(
  redis: RedisConnection,
  keys: Keys,
  pageSize: number,
): AsyncGenerator<LiveKey[]> {
  for (let partition = 0; partition < keys.partitions; partition++) {
    const { boards } = await readState(redis, keys, partition, ['boards']);
    for (const { board, kind, name } of parseBoards(boards)) {
      const scores = keys.ofBoard(partition, 'ranks:<board>', board);
      for await (const members of scanned(pageSize, (...page) => redis.zscan(scores, ...page)))
        yield members.map(key => ({ kind, name, key }));
    }
  }
}

/** The fields of a hash, page by page. One that stays during the whole walk comes at least once. */
function fieldsOf(redis: RedisConnection, hash: string, pageSize: number): AsyncGenerator<string[]> {
  return scanned(pageSize, (...page) => redis.hscan(hash, ...page));
}

async function* scanned(
  pageSize: number,
  scan: (cursor: string, count: 'COUNT', number: number) => Promise<[cursor: string, found: string[]]>,
): AsyncGenerator<string[]> {
  const count = new Count(pageSize);
  for (let cursor = '0'; ; ) {
    const [next, found] = await scan(cursor, 'COUNT', count.next);
    count.seen(found);
    // Names alternate with values.
    yield found.filter((_, at) => at % 2 === 0);
    if (next === '0') return;
    cursor = next;
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
