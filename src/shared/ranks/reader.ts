/**
 * Reads ranks from the boards in Redis. Not on a Cluster, one script reads all partitions, so each answer is a
 * snapshot. On a Cluster the key's own value is read first, and then the other partitions at once.
 */
import { type Definitions, definedNames, definitionOf } from '../config/definitions.ts';
import { RanksBuildingError } from '../errors.ts';
import type { Kind } from '../item.ts';
import type { RedisConnection } from '../redis/connections.ts';
import type { Keys } from '../redis/keys.ts';
import { abreast } from '../redis/reply-size.ts';
import { defineScript, type Script } from '../redis/script.ts';
import { merged, type Placed, placed, type Ranked, ranked } from './merge.ts';

/** A ranked counter, program or value. */
export interface Board {
  readonly kind: Kind;
  readonly name: string;
}

/** The names that the definitions rank. */
export function rankedNames(definitions: Definitions): Board[] {
  return definedNames(definitions).filter(({ kind, name }) => definitionOf(kind, name, definitions)!.ranked);
}

/** The board's name in Redis. */
export function boardName({ kind, name }: Board): string {
  return kind + name;
}

/** What every answer says. */
interface Whole {
  /** Whether every acknowledged update counted. */
  readonly exact: boolean;
  /** Number of members. */
  readonly size: number;
}

export interface Standing {
  readonly value: number;
  /** Members with a greater value. */
  readonly greater: number;
  /** Members with a lower value, if they were asked for. */
  readonly lower: number;
}

/** Status, size, and what the action asked for. */
type View = [status: number, size: number, ...rest: unknown[]];
type Reply = [found: string[], views: View[]];

interface Asked {
  readonly action: 'ranks' | 'percentiles' | 'top' | 'around';
  readonly count?: number;
  /** A member; its value is looked up if it is undefined. */
  readonly member?: { readonly value?: number; readonly partition: number; readonly key: string };
  /** Keys by their partitions, or values alone. */
  readonly wanted?: readonly (Pick<Placed, 'partition' | 'key'> | number)[];
}

const MAY_BE_WRONG = 1;
const EXACT = 2;
const ABREAST = 64;
/** Counts of members in one call, one for each key and partition: each takes Redis a few microseconds. */
const COUNTS = 2000;

export class RankReader {
  readonly #keys: Keys;
  readonly #read: <Answer>(call: () => Promise<Answer>) => Promise<Answer>;
  readonly #ranks: Script<Reply>;
  readonly #partitions: readonly number[];

  /** @param read makes a call that is safe to repeat, and turns its errors into ours */
  constructor(
    redis: RedisConnection,
    keys: Keys,
    read: <Answer>(call: () => Promise<Answer>) => Promise<Answer>,
  ) {
    this.#keys = keys;
    this.#read = read;
    this.#ranks = defineScript(redis, 'ranks', new URL('./ranks.lua', import.meta.url));
    this.#partitions = Array.from({ length: keys.partitions }, (_, partition) => partition);
  }

  /** @throws RanksBuildingError, and what `read` throws */
  async size(board: Board): Promise<Whole> {
    return whole(board, (await this.#everywhere(board, { action: 'ranks' })).views);
  }

  /** In how many partitions answers may be wrong: the board is being built there, or has noted keys. */
  async inexactPartitions(board: Board): Promise<number> {
    const { views } = await this.#everywhere(board, { action: 'ranks' });
    return views.filter(([status]) => status !== EXACT).length;
  }

  /**
   * @param withLower whether members with lower values are counted too
   * @returns in the order of the keys; undefined for a key that is not on the board
   * @throws like `size`
   */
  async standings(
    board: Board,
    keys: readonly string[],
    withLower = false,
  ): Promise<Whole & { standings: (Standing | undefined)[] }> {
    const action = withLower ? 'percentiles' : 'ranks';
    const most = Math.max(1, Math.floor(COUNTS / this.#keys.partitions));
    const standings: (Standing | undefined)[] = [];
    let answer: Whole | undefined;
    for (let from = 0; from < Math.max(1, keys.length); from += most) {
      const some = keys.slice(from, from + most);
      const part = await this.#standings(board, some, action);
      standings.push(...part.standings);
      answer = { size: part.size, exact: part.exact && (answer?.exact ?? true) };
    }
    return { ...answer!, standings };
  }

  async #standings(board: Board, keys: readonly string[], action: 'ranks' | 'percentiles') {
    const wanted = keys.map(key => ({ key, partition: this.#keys.partitionOf(key) }));
    const each = action === 'ranks' ? 1 : 2;
    const { found, views } = this.#ranks.ofMany
      ? await this.#everywhere(board, { action, wanted })
      : await this.#standingsOfCluster(board, { action, wanted });
    const sum = (at: number) => views.reduce((total, view) => total + Number(view[2 + at]), 0);
    const standings = found.map((score, at) => {
      if (score === '-') return undefined;
      const lower = each === 2 ? sum(each * at + 1) : 0;
      return { value: Number(score), greater: sum(each * at), lower };
    });
    return { ...whole(board, views), standings };
  }

  /** Reads each value in its own partition, then compares it with the others. */
  async #standingsOfCluster(
    board: Board,
    asked: Asked & { readonly wanted: readonly Pick<Placed, 'partition' | 'key'>[] },
  ): Promise<{ found: string[]; views: View[] }> {
    const { action, wanted } = asked;
    const each = action === 'ranks' ? 1 : 2;
    const found: string[] = new Array(wanted.length);
    const own: number[][] = new Array(wanted.length);
    const positions = Map.groupBy(wanted.keys(), at => wanted[at]!.partition);
    await abreast([...positions], ABREAST, async ([partition, list]) => {
      const some = list.map(at => wanted[at]!);
      const [scores, [view]] = await this.#ask(board, { action, wanted: some }, [partition]);
      for (const [index, at] of list.entries()) {
        found[at] = scores[index]!;
        own[at] = view!.slice(2 + each * index, 2 + each * (index + 1)).map(Number);
      }
    });
    const values = found.map(score => (score === '-' ? 0 : Number(score)));
    const views = await abreast(this.#partitions, ABREAST, async partition => {
      const [, [view]] = await this.#ask(board, { action, wanted: values }, [partition]);
      // Its own partition was counted together with the value.
      for (const at of positions.get(partition) ?? []) view!.splice(2 + each * at, each, ...own[at]!);
      return view!;
    });
    return { found, views };
  }

  /** The first members after one, or of all. @throws like `size` */
  async top(board: Board, count: number, after?: Placed): Promise<Whole & { members: Ranked[] }> {
    const asked = { action: 'top', count, ...(after ? { member: after } : {}) } as const;
    const { views } = await this.#everywhere(board, asked);
    const members = merged(views.map((view, at) => placed(at, view[4] as string[]))).slice(0, count);
    const before = total(views, 2);
    const isTied = after && members[0]?.value === after.value;
    return { ...whole(board, views), members: ranked(members, before, isTied ? total(views, 3) : before) };
  }

  /**
   * A key with the members before and after it; none if it is not on the board.
   * @param count most members on each side
   * @throws like `size`
   */
  async around(board: Board, key: string, count: number): Promise<Whole & { members: Ranked[] }> {
    const partition = this.#keys.partitionOf(key);
    const asked = { action: 'around', count, member: { partition, key } } as const;
    const { found, views } = this.#ranks.ofMany
      ? await this.#everywhere(board, asked)
      : await this.#aroundInCluster(board, asked);
    const answer = whole(board, views);
    if (found[0] === '-') return { ...answer, members: [] };
    const listed = (at: number) => merged(views.map((view, p) => placed(p, view[at] as string[])));
    const above = count > 0 ? listed(3).slice(-count) : [];
    const own = { partition, key, value: Number(found[0]) };
    const members = [...above, own, ...listed(4).slice(0, count)];
    const greater = this.#ranks.ofMany
      ? total(views, 5)
      : total((await this.#everywhere(board, { action: 'ranks', wanted: [members[0]!.value] })).views, 2);
    return { ...answer, members: ranked(members, total(views, 2) - above.length, greater) };
  }

  async #aroundInCluster(
    board: Board,
    asked: Asked & { readonly member: Pick<Placed, 'partition' | 'key'> },
  ) {
    const own = asked.member.partition;
    const [found, [ownView]] = await this.#ask(board, asked, [own]);
    const value = found[0] === '-' ? 0 : Number(found[0]);
    const views = await abreast(this.#partitions, ABREAST, async partition => {
      if (partition === own) return ownView!;
      const [, [view]] = await this.#ask(board, { ...asked, member: { ...asked.member, value } }, [
        partition,
      ]);
      return view!;
    });
    return { found, views };
  }

  /** Asks all partitions, in one call if they are on one server. */
  async #everywhere(board: Board, asked: Asked): Promise<{ found: string[]; views: View[] }> {
    if (this.#ranks.ofMany) {
      const [found, views] = await this.#ask(board, asked, this.#partitions);
      return { found, views };
    }
    const replies = await abreast(this.#partitions, ABREAST, partition =>
      this.#ask(board, asked, [partition]),
    );
    return { found: replies[0]![0], views: replies.map(([, [view]]) => view!) };
  }

  #ask(board: Board, asked: Asked, partitions: readonly number[]): Promise<Reply> {
    const { action, count = 0, member, wanted = [] } = asked;
    const placeOf = (partition: number) => partitions.indexOf(partition) + 1;
    const isGiven = member?.value !== undefined;
    const args = [
      ...[
        this.#keys.owner,
        boardName(board),
        action,
        count,
        member && !isGiven ? placeOf(member.partition) : 0,
      ],
      ...[member?.value ?? '', member?.partition ?? '', member?.key ?? '', partitions.length, ...partitions],
      ...wanted.flatMap(one => (typeof one === 'number' ? [0, one] : [placeOf(one.partition), one.key])),
    ];
    const states = partitions.map(partition => this.#keys.state(partition));
    return this.#read(() => this.#ranks.ofMany?.(states, args) ?? this.#ranks(states[0]!, ...args));
  }
}

function total(views: readonly View[], at: number): number {
  return views.reduce((sum, view) => sum + Number(view[at]), 0);
}

/** @throws RanksBuildingError */
function whole({ name }: Board, views: readonly View[]): Whole {
  if (views.some(([status]) => status < MAY_BE_WRONG)) throw new RanksBuildingError(name);
  return { size: total(views, 1), exact: views.every(([status]) => status === EXACT) };
}
