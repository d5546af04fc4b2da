/**
 * Ranks in a torture: ranks that producers read during the run, with what they knew then, and the boards at the end,
 * member by member.
 */
import { existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { BoardHandle, BoardPlace } from '../../src/producer/board.ts';
import { createProducer } from '../../src/producer/index.ts';
import type { Keys } from '../../src/shared/redis/keys.ts';
import type { Holdings } from './holdings.ts';
import type { Stack } from './stack.ts';
import { definitions, partitions, rankedNames } from './traffic.ts';

/** A value on a board that said `exact`. */
export interface RankRead {
  readonly name: string;
  readonly key: string;
  readonly value: number;
  /** Increments of the key that the reader had acknowledged before it asked. */
  readonly acknowledged: number;
}

/** A producer's reads, one line each, in a file beside its journal. */
export class RankJournal {
  readonly #file: number;
  readonly #acknowledged = new Map<string, number>();

  constructor(journal: string) {
    this.#file = openSync(fileOf(journal), 'a');
  }

  acknowledged(name: string, key: string): void {
    const item = `${name} ${key}`;
    this.#acknowledged.set(item, (this.#acknowledged.get(item) ?? 0) + 1);
  }

  /** Asks for the value of a key, and records an answer that says `exact`. */
  async read(name: string, key: string, ask: () => Promise<RankAnswer>): Promise<void> {
    const acknowledged = this.#acknowledged.get(`${name} ${key}`) ?? 0;
    const { value, exact } = await ask();
    if (exact) writeSync(this.#file, `${name} ${key} ${value ?? 0} ${acknowledged}\n`);
  }
}

interface RankAnswer {
  readonly value: number | null;
  readonly exact: boolean;
}

function fileOf(journal: string): string {
  return `${journal}.ranks`;
}

/** The reads of a producer with this journal. A last line that a kill cut off is ignored. */
export function readRanks(journal: string): RankRead[] {
  if (!existsSync(fileOf(journal))) return [];
  const text = readFileSync(fileOf(journal), 'utf8');
  const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  return lines
    .filter(line => line !== '')
    .map(line => {
      const [name, key, value, acknowledged] = line.split(' ');
      return { name: name!, key: key!, value: Number(value), acknowledged: Number(acknowledged) };
    });
}

/**
 * Every increment is by one and counters only grow. So an exact value is at least what its reader had acknowledged,
 * and at most what MySQL has at the end. Losses that Sluice declared excuse their partitions.
 */
export function wrongReads(reads: readonly RankRead[], { counters, losses }: Holdings, keys: Keys): string[] {
  const excused = new Set(losses.map(({ partition }) => partition));
  return reads
    .filter(({ name, key, value, acknowledged }) => {
      const isPossible = value >= acknowledged && value <= (counters.get(`${name} ${key}`) ?? 0);
      return !isPossible && !excused.has(keys.partitionOf(key));
    })
    .map(
      ({ name, key, value, acknowledged }) =>
        `an exact board had ${value} for ${name} ${key}: its reader had ${acknowledged} acknowledged, the database has ` +
        `${counters.get(`${name} ${key}`) ?? 0} at the end`,
    );
}

interface Member {
  readonly rank: number;
  readonly key: string;
  readonly value: number;
}

/** The board that a name must have: the highest value first, then the lower partition, then the greater key. */
export function boardOf(
  name: string,
  { counters, balances, values: kept, entries }: Holdings,
  keys: Keys,
): Member[] {
  const values = new Map<string, number>();
  const add = (key: string, amount: number) => values.set(key, (values.get(key) ?? 0) + amount);
  for (const [item, value] of [...counters, ...balances, ...kept])
    if (item.startsWith(`${name} `)) add(item.slice(name.length + 1), value);
  for (const { program, account, amount, balanceAfter } of entries)
    if (program === name && balanceAfter === undefined) add(account, amount);
  const members = [...values].map(([key, value]) => ({ key, value, partition: keys.partitionOf(key) }));
  members.sort(
    (a, b) =>
      b.value - a.value ||
      a.partition - b.partition ||
      Buffer.compare(Buffer.from(b.key), Buffer.from(a.key)),
  );
  return members.map(({ key, value }) => {
    return { rank: 1 + members.findIndex(other => other.value === value), key, value };
  });
}

/** The first place at which a board is not what it must be. */
export function differenceOf(name: string, found: readonly Member[], right: readonly Member[]): string[] {
  const at = Math.max(found.length, right.length);
  for (let place = 0; place < at; place++) {
    const [is, should] = [show(found[place]), show(right[place])];
    if (is !== should)
      return [`the board of ${name} has ${is} at place ${place + 1} of ${found.length}, not ${should}`];
  }
  return [];
}

function show(member: Member | undefined): string {
  return member ? `${member.key} with ${member.value} and rank ${member.rank}` : 'nobody';
}

const pageSize = 100;

/** Reads all boards, once they are exact, and compares them with the database. */
export async function compareBoards(
  stack: Stack,
  holdings: Holdings,
  keys: Keys,
  limitMs: number,
): Promise<string[]> {
  const { redisUrl: redis, mysqlUrl: mysql, namespace } = stack.direct;
  const sluice = await createProducer({ redis, mysql, namespace, definitions, settings: { partitions } });
  const deadline = performance.now() + limitMs;
  try {
    const problems: string[] = [];
    for (const { kind, name } of rankedNames) {
      const { board } =
        kind === 'c' ? sluice.counter(name) : kind === 'p' ? sluice.points(name) : sluice.value(name);
      const found = await membersOf(board, deadline);
      if (found) problems.push(...differenceOf(name, found, boardOf(name, holdings, keys)));
      else problems.push(`the board of ${name} did not become exact`);
    }
    return problems;
  } finally {
    await sluice.close();
  }
}

type Board = BoardHandle<string>;

/** Undefined if the board is not exact by then. */
async function membersOf(board: Board, deadline: number): Promise<Member[] | undefined> {
  while (performance.now() < deadline) {
    const members: Member[] = [];
    let page = await pageOf(board);
    for (; page?.exact; page = await pageOf(board, page.after)) {
      members.push(...page.members);
      if (!page.after) return members;
    }
    await delay(200);
  }
  return undefined;
}

/** Undefined while the board is built. */
function pageOf(board: Board, after?: BoardPlace) {
  return board.top(pageSize, after ? { after } : {}).catch(error => {
    if (error.code === 'RANKS_BUILDING') return undefined;
    throw error;
  });
}
