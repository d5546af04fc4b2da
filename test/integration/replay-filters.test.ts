// Which failed updates an operation selects: filters select them, and a dry run shows them without a change.

import { describe, expect, it } from 'vitest';
import type { FailedFilter } from '../../src/replay/filter.ts';
import type { FailedUpdate } from '../../src/shared/updates/failed-update.ts';
import { openEngine } from '../support/engine.ts';
import { author, failSome, mend, openFailed, poison, poisoned, quarantined } from '../support/failed.ts';

describe('a dry run', () => {
  it('tries every update and changes nothing', async () => {
    const engine = await poisoned(3);
    await engine.database.query('DROP TRIGGER bad_counters');
    const failed = await openFailed(engine);
    const state = async () =>
      JSON.stringify(
        await Promise.all(
          [
            'counters',
            'accounts',
            'entries',
            'quarantine',
            'operations',
            'operation_items',
            'partitions',
          ].map(name => engine.database.query(`SELECT * FROM sluice_${name}`)),
        ),
      );
    const before = await state();
    const code = 'ER_SIGNAL_EXCEPTION';
    expect(await failed.plan('replay', {})).toEqual({
      action: 'replay',
      groups: [
        { kind: 'counter', name: 'views', code, outcome: 'replayed', updates: 3 },
        { kind: 'entry', name: 'loyalty', code, outcome: `refused:${code}`, updates: 3 },
      ],
      jobs: [],
    });
    expect(await state()).toBe(before);
  });
});

describe('filters', () => {
  it('select by every criterion, alone and together', async () => {
    const engine = await openEngine({ partitions: 1 });
    await poison(engine);
    await failSome(engine, 2);
    await failSome(engine, 2, 2);
    // Rows that go aside together may leave gaps between their ids.
    const ids = await quarantined(engine);
    const [first, second, third, fourth, fifth] = ids as [number, number, number, number, number];
    await engine.database.query(
      "UPDATE sluice_quarantine SET created_at = '2026-01-02 03:04:05.678' WHERE id = ?",
      [third],
    );
    const failed = await openFailed(engine);
    const all = await failed.list();
    expect(all.total).toBe(8);
    const { sequence } = all.updates[4]!;
    const select = async (
      filter: FailedFilter,
      expected: (update: FailedUpdate) => boolean,
      count: number,
    ) => {
      const { updates, total } = await failed.list(filter);
      expect(updates, JSON.stringify(filter)).toEqual(all.updates.filter(expected));
      expect([updates.length, total], JSON.stringify(filter)).toEqual([count, count]);
    };
    await select({ ids: [second, fourth, 99] }, ({ id }) => id === second || id === fourth, 2);
    await select({ kind: 'entry' }, ({ kind }) => kind === 'entry', 4);
    await select({ name: 'views' }, ({ name }) => name === 'views', 4);
    await select({ name: 'VIEWS' }, () => false, 0);
    await select({ key: 'bad2' }, ({ key }) => key === 'bad2', 1);
    await select({ kind: 'entry', key: '0' }, ({ kind, key }) => kind === 'entry' && key === '0', 2);
    await select({ code: 'ER_SIGNAL_EXCEPTION' }, () => true, 8);
    await select({ code: 'OUT_OF_RANGE' }, () => false, 0);
    await select({ until: '2026-01-02T03:04:05.679Z' }, ({ id }) => id === third, 1);
    await select({ until: '2026-01-02T03:04:05.678Z' }, () => false, 0);
    await select(
      { from: '2026-01-02T04:04:05.678+01:00', until: '2026-01-03T00:00:00Z' },
      ({ id }) => id === third,
      1,
    );
    await select({ from: '2026-01-03T00:00:00Z' }, ({ id }) => id !== third, 7);
    await select({ partition: 0, sequence }, update => update.sequence === sequence, 4);
    await select({ partition: 1 }, () => false, 0);
    const page = await failed.list({ kind: 'counter' }, { after: first, limit: 2 });
    expect(page.updates.map(({ id }) => id)).toEqual([second, fifth]);
    expect(page.total).toBe(4);
    const exported: unknown[] = [];
    for await (const row of failed.export({ kind: 'entry' })) exported.push(row);
    expect(exported).toEqual(all.updates.filter(({ kind }) => kind === 'entry'));
    await mend(engine);
    expect((await failed.replay({ kind: 'entry', key: '0' }, author)).updates).toEqual({ replayed: 2 });
    await select({}, ({ kind, key }) => kind === 'counter' || key !== '0', 6);
  });

  it.each([
    [{ sequence: 1 }, /without its partition/],
    [{ kind: 'both' }, /kind/],
    [{ from: 'yesterday' }, /from: must be a time with a zone/],
    [{ from: '2026-01-02T03:04:05' }, /from: must be a time with a zone/],
    [{ ids: [0] }, /ids/],
    [{ nmae: 'x' }, /nmae/],
  ])('refuse %j', async (filter, message) => {
    const engine = await openEngine();
    const failed = await openFailed(engine);
    await expect(failed.list(filter as object)).rejects.toThrow(message);
  });
});
