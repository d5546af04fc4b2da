// Engines with ranked names: what a board should hold, and builds that a test makes step by step.

import type { DefinitionsInput } from '../../src/shared/config/definitions.ts';
import { BoardBuilder } from '../../src/shared/ranks/builder.ts';
import { type Board, boardName } from '../../src/shared/ranks/reader.ts';
import type { Engine } from './engine.ts';

export const ranked = {
  counters: { views: { ranked: true }, clicks: {} },
  points: { loyalty: { floor: 0, ranked: true }, credits: { floor: -100 } },
} as const satisfies DefinitionsInput;

export const views: Board = { kind: 'c', name: 'views' };
export const loyalty: Board = { kind: 'p', name: 'loyalty' };

/** A builder on the engine's connections. */
export function builderOf({ own, keys, tables, cold }: Engine, page?: number): BoardBuilder {
  return new BoardBuilder({ ...own, address: 'test', keys, tables, cold }, page);
}

/** Builds until the board is ready in every partition and nothing is noted. Flushes what is pending. */
export async function ready(engine: Engine, board: Board, builder = builderOf(engine)): Promise<void> {
  for (let step = 0; step < 1000; step++) {
    await builder.begin(board);
    await engine.drain();
    const { progress, goesOn } = await builder.step(board);
    if (!goesOn && progress.every(({ phase, noted }) => phase === 'ready' && noted === 0)) return;
  }
  throw new Error('the board was not ready after 1,000 steps');
}

/** All members of a board and their scores. */
export async function scoresOf({ redis, keys }: Engine, board: Board): Promise<Map<string, number>> {
  const scores = new Map<string, number>();
  for (let partition = 0; partition < keys.partitions; partition++) {
    const key = keys.ofBoard(partition, 'ranks:<board>', boardName(board));
    const found = await redis.zrange(key, '0', '-1', 'WITHSCORES');
    for (let at = 0; at < found.length; at += 2) scores.set(found[at]!, Number(found[at + 1]));
  }
  return scores;
}
