// Ranks: what each question answers, while updates are pending, in flight, flushed and in quarantine.

import { describe, expect, it } from 'vitest';
import type { BoardHandle, BoardPlace } from '../../src/producer/board.ts';
import { NotRankedError, RanksBuildingError } from '../../src/shared/errors.ts';
import { openEngine } from '../support/engine.ts';
import { builderOf, loyalty, ranked, ready, scoresOf, views } from '../support/ranks.ts';

const open = async (settings = {}) => {
  const engine = await openEngine(settings);
  const sluice = await engine.producer({}, { definitions: ranked });
  return { engine, sluice, counter: sluice.counter('views'), points: sluice.points('loyalty') };
};

/** Ranks of all members, from their values alone. */
function ranksOf(values: ReadonlyMap<string, number>): Map<string, number> {
  const all = [...values.values()];
  return new Map([...values].map(([key, value]) => [key, 1 + all.filter(other => other > value).length]));
}

/** All members, page by page. */
async function everyone(board: BoardHandle<string>, size: number) {
  const members = [];
  for (let after: BoardPlace | undefined; ; ) {
    const page = await board.top(size, after ? { after } : {});
    members.push(...page.members);
    after = page.after;
    if (!after) return members;
  }
}

describe('answers', () => {
  it('equal values share a rank, whatever is pending or flushed', async () => {
    const { engine, counter } = await open();
    await ready(engine, views);
    const { board } = counter;
    for (const [key, by] of [
      ['a', 3],
      ['b', 2],
      ['c', 2],
      ['d', 1],
    ] as const)
      await counter.increment(key, by);
    const keys = ['a', 'b', 'c', 'd', 'nobody'];
    const expected = {
      exact: true,
      size: 4,
      ranks: [
        { key: 'a', rank: 1, value: 3 },
        { key: 'b', rank: 2, value: 2 },
        { key: 'c', rank: 2, value: 2 },
        { key: 'd', rank: 4, value: 1 },
        { key: 'nobody', rank: null, value: null },
      ],
    };
    expect(await board.ranks(keys)).toEqual(expected);
    await engine.drain();
    expect(await board.ranks(keys)).toEqual(expected);
    expect(await board.rank('d')).toEqual({ exact: true, size: 4, rank: 4, value: 1 });
    expect(await board.rank('nobody')).toEqual({ exact: true, size: 4, rank: null, value: null });
    expect(await board.size()).toEqual({ exact: true, size: 4 });
    expect((await board.percentile('a')).percentile).toBe(100);
    expect((await board.percentile('c')).percentile).toBeCloseTo(100 / 3);
    expect((await board.percentile('d')).percentile).toBe(0);
    expect((await board.percentile('nobody')).percentile).toBe(null);
    await counter.increment('d', 10);
    expect((await board.top(2)).members).toEqual([
      { rank: 1, key: 'd', value: 11 },
      { rank: 2, key: 'a', value: 3 },
    ]);
  });

  it('pages of any size and neighbours agree with one another, with many equal values', async () => {
    const { engine, counter } = await open();
    await ready(engine, views);
    const values = new Map<string, number>();
    for (let at = 0; at < 60; at++) {
      const key = `k${at}é`;
      const value = [-3, 1, 1, 2, 2, 2, 9, 9_007_199_254_740_990][(at * 7) % 8]!;
      values.set(key, value);
      await counter.increment(key, value);
    }
    const { board } = counter;
    const ranks = ranksOf(values);
    const whole = (await board.top(1000)).members;
    expect(new Map(whole.map(({ key, value }) => [key, value]))).toEqual(values);
    expect(whole.map(({ value }) => value)).toEqual([...values.values()].sort((a, b) => b - a));
    for (const { key, rank } of whole) expect(rank, key).toBe(ranks.get(key));
    for (const size of [1, 7, 60]) expect(await everyone(board, size)).toEqual(whole);
    for (const count of [0, 1, 4, 100])
      for (const [at, { key }] of whole.entries()) {
        const { members } = await board.around(key, count);
        expect(members, key).toEqual(whole.slice(Math.max(0, at - count), at + count + 1));
      }
    expect((await board.around('nobody', 3)).members).toEqual([]);
  });

  it('the first members are right even if one partition has them all', async () => {
    const { engine, counter } = await open();
    await ready(engine, views);
    const of = (isFirst: boolean) =>
      Array.from({ length: 400 }, (_, at) => `k${at}`)
        .filter(key => (engine.keys.partitionOf(key) === 2) === isFirst)
        .slice(0, 50);
    for (const [at, key] of of(true).entries()) await counter.increment(key, 1000 - at);
    for (const [at, key] of of(false).entries()) await counter.increment(key, 100 - at);
    const keys = [...of(true), ...of(false)];
    for (const count of [1, 20, 40, 60, 100])
      expect((await counter.board.top(count)).members.map(({ key }) => key)).toEqual(keys.slice(0, count));
  });

  it('a page goes on after a member that moved or left', async () => {
    const { engine, counter } = await open();
    await ready(engine, views);
    for (let at = 0; at < 30; at++) await counter.increment(`k${at}`, 5);
    const { board } = counter;
    const whole = (await board.top(1000)).members.map(({ key }) => key);
    const { after, members } = await board.top(11);
    const last = members.at(-1)!.key;
    await counter.increment(last, 100);
    const rest = (await board.top(1000, { after: after! })).members;
    expect(rest.map(({ key }) => key)).toEqual(whole.slice(11));
    expect(rest[0]!.rank).toBe(2);
    for (let partition = 0; partition < 4; partition++)
      await engine.redis.zrem(engine.keys.ofBoard(partition, 'ranks:<board>', 'cviews'), last);
    expect((await board.top(1000, { after: after! })).members.map(({ key }) => key)).toEqual(whole.slice(11));
  });

  it('a page may be as old as the caller allows', async () => {
    const { engine, counter } = await open();
    await ready(engine, views);
    await counter.increment('a');
    expect((await counter.board.top(5, { maxAgeMs: 60_000 })).members).toHaveLength(1);
    await counter.increment('b');
    expect((await counter.board.top(5, { maxAgeMs: 60_000 })).members).toHaveLength(1);
    expect((await counter.board.top(5)).members).toHaveLength(2);
  });

  it('accounts are ranked by their balances, duplicates and refused debits left out', async () => {
    const { engine, points } = await open();
    await ready(engine, loyalty);
    await points.credit('a', 5, { id: '1' });
    await points.credit('a', 5, { id: '1' });
    await points.credit('b', 7, { id: '1' });
    await expect(points.debit('b', 100, { id: '2' })).rejects.toThrow('refused');
    await points.debit('b', 3, { id: '3' });
    const members = [
      { rank: 1, key: 'a', value: 5 },
      { rank: 2, key: 'b', value: 4 },
    ];
    expect(await points.board.top(10)).toEqual({ exact: true, size: 2, members });
    await engine.drain();
    expect(await points.board.top(10)).toEqual({ exact: true, size: 2, members });
  });

  it('names without ranks, and ranks without a board, are errors', async () => {
    const { engine, sluice, counter } = await open();
    expect(() => sluice.counter('clicks').board).toThrow(NotRankedError);
    expect(() => sluice.points('credits').board).toThrow(NotRankedError);
    for (const ask of [
      () => counter.board.rank('a'),
      () => counter.board.top(3),
      () => counter.board.around('a', 3),
      () => counter.board.size(),
    ])
      await expect(ask()).rejects.toThrow(RanksBuildingError);
    for (const count of [0, 1001, 1.5]) await expect(counter.board.top(count)).rejects.toThrow('from 1 to');
    await ready(engine, views);
    expect(await counter.board.top(3)).toEqual({ exact: true, size: 0, members: [] });
    await builderOf(engine).drop(views);
    await expect(counter.board.rank('a')).rejects.toThrow(RanksBuildingError);
    await counter.increment('a');
    expect(await scoresOf(engine, views)).toEqual(new Map());
  });
});
