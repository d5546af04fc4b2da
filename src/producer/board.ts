/** The ranks of a counter or program, as API services ask for them. */
import { InvalidUpdateError } from '../shared/errors.ts';
import type { Ranked } from '../shared/ranks/merge.ts';
import type { Board, RankReader } from '../shared/ranks/reader.ts';

/** What every answer says. */
export interface BoardAnswer {
  /**
   * Whether every acknowledged update counted. False while a worker builds the ranks anew, or reads some keys
   * from the database, mostly within a second.
   */
  readonly exact: boolean;
  /** Number of keys that have a rank. */
  readonly size: number;
}

/** A place in the order of a board: `top` goes on after it. */
export interface BoardPlace {
  readonly value: number;
  readonly partition: number;
  readonly key: string;
}

export interface BoardMember<Key> {
  /** 1 is the highest value. Equal values share a rank: 1, 2, 2, 4. */
  readonly rank: number;
  readonly key: Key;
  readonly value: number;
}

export interface BoardPage<Key> extends BoardAnswer {
  readonly members: BoardMember<Key>[];
}

export interface TopPage<Key> extends BoardPage<Key> {
  /** The place of the last member, for `after` of the next page; undefined if there are no more. */
  readonly after?: BoardPlace;
}

export interface TopOptions {
  /** From the page before; also right if that member has another value by now. */
  after?: BoardPlace;
  /** Takes an answer of this producer that is at most so old, ms; 0 by default. */
  maxAgeMs?: number;
}

/** How keys of callers become texts of Redis, and back. */
export interface KeyTexts<Key> {
  check(key: Key): string;
  shown(text: string): Key;
}

const MOST = 1000;
/** Different pages that are remembered for `maxAgeMs`. */
const REMEMBERED = 100;

/** The ranks of one name. All answers count pending updates, and ask only Redis. */
export class BoardHandle<Key> {
  readonly #board: Board;
  readonly #reader: RankReader;
  readonly #texts: KeyTexts<Key>;
  readonly #pages = new Map<string, { readonly at: number; readonly page: Promise<TopPage<Key>> }>();

  constructor(board: Board, reader: RankReader, texts: KeyTexts<Key>) {
    this.#board = board;
    this.#reader = reader;
    this.#texts = texts;
  }

  /**
   * The rank and value of a key; null for one without updates.
   * @throws InvalidUpdateError, RanksBuildingError, RedisUnavailableError, AccessDeniedError
   */
  async rank(key: Key): Promise<BoardAnswer & { rank: number | null; value: number | null }> {
    const { ranks, ...answer } = await this.ranks([key]);
    const { rank, value } = ranks[0]!;
    return { ...answer, rank, value };
  }

  /** The same of many keys, up to 1,000, in their order. Throws as `rank`. */
  async ranks(
    keys: readonly Key[],
  ): Promise<BoardAnswer & { ranks: { key: Key; rank: number | null; value: number | null }[] }> {
    checkCount(keys.length, 'number of keys', 0);
    const texts = keys.map(key => this.#texts.check(key));
    const { standings, ...answer } = await this.#reader.standings(this.#board, texts);
    const ranks = standings.map((standing, at) => {
      const rank = standing ? standing.greater + 1 : null;
      return { key: keys[at]!, rank, value: standing?.value ?? null };
    });
    return { ...answer, ranks };
  }

  /** The first `count` members, 1 to 1,000, or those after a place. Throws as `rank`. */
  async top(count: number, { after, maxAgeMs = 0 }: TopOptions = {}): Promise<TopPage<Key>> {
    checkCount(count, 'number of members', 1);
    if (after !== undefined) checkPlace(after);
    const asked = JSON.stringify([count, after?.value, after?.partition, after?.key]);
    const known = this.#pages.get(asked);
    if (known && performance.now() - known.at < maxAgeMs) return known.page;
    const page = this.#top(count, after);
    if (maxAgeMs > 0) this.#remember(asked, page);
    return page;
  }

  #remember(asked: string, page: Promise<TopPage<Key>>): void {
    if (this.#pages.size >= REMEMBERED) this.#pages.clear();
    this.#pages.set(asked, { at: performance.now(), page });
    page.catch(() => this.#pages.delete(asked));
  }

  async #top(count: number, after: BoardPlace | undefined): Promise<TopPage<Key>> {
    const { members, ...answer } = await this.#reader.top(this.#board, count, after);
    const last = members.length === count ? members.at(-1) : undefined;
    const place = last && { value: last.value, partition: last.partition, key: last.key };
    return { ...answer, members: members.map(one => this.#shown(one)), ...(place ? { after: place } : {}) };
  }

  /**
   * The key with up to `count` members before it and after it, 0 to 500; no members if it has no rank. Throws as
   * `rank`.
   */
  async around(key: Key, count: number): Promise<BoardPage<Key>> {
    checkCount(count, 'number of neighbours', 0, MOST / 2);
    const { members, ...answer } = await this.#reader.around(this.#board, this.#texts.check(key), count);
    return { ...answer, members: members.map(one => this.#shown(one)) };
  }

  /**
   * How many of the other members have a lower value, in per cent; 100 for the only member, null for a key
   * without updates. Throws as `rank`.
   */
  async percentile(key: Key): Promise<BoardAnswer & { percentile: number | null }> {
    const text = this.#texts.check(key);
    const { standings, ...answer } = await this.#reader.standings(this.#board, [text], true);
    const [standing] = standings;
    const others = answer.size - 1;
    const percentile = standing ? (others > 0 ? (100 * standing.lower) / others : 100) : null;
    return { ...answer, percentile };
  }

  /** How many keys have a rank. Throws as `rank`. */
  async size(): Promise<BoardAnswer> {
    return this.#reader.size(this.#board);
  }

  #shown({ rank, key, value }: Ranked): BoardMember<Key> {
    return { rank, key: this.#texts.shown(key), value };
  }
}

function checkCount(count: number, what: string, least: number, most = MOST): void {
  if (!Number.isInteger(count) || count < least || count > most)
    throw new InvalidUpdateError(
      'INVALID_UPDATE',
      `The ${what} must be a whole number from ${least} to ${most}.`,
    );
}

function checkPlace({ value, partition, key }: BoardPlace): void {
  if (!Number.isSafeInteger(value) || !Number.isSafeInteger(partition) || typeof key !== 'string')
    throw new InvalidUpdateError(
      'INVALID_UPDATE',
      'The place to go on after must be the `after` of a page: a value, a partition and a key.',
    );
}
