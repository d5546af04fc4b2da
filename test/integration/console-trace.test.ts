// Trace of an entry by program, account and id: where it is in every state, and who did what to it.

import { describe, expect, it } from 'vitest';
import type { Trace } from '../../src/console/answers.ts';
import { quarantineRoutes } from '../../src/console/quarantine.ts';
import { traceRoutes } from '../../src/console/trace.ts';
import { caller, consoleParts } from '../support/console.ts';
import { openEngine, until } from '../support/engine.ts';
import { mend, poison, quarantined } from '../support/failed.ts';

async function open() {
  const engine = await openEngine({ partitions: 1 });
  const parts = await consoleParts(engine);
  const call = caller([...traceRoutes, ...quarantineRoutes], parts);
  const sluice = await engine.producer();
  const trace = async (id: string, key = 'al'): Promise<Trace> =>
    (await call.get(`/api/trace?name=loyalty&key=${key}&id=${encodeURIComponent(id)}`)).body;
  return { engine, call, trace, points: sluice.points('loyalty') };
}

const whats = ({ steps }: Trace) => steps.map(({ what }) => what);

describe('a trace', () => {
  it('follows an entry from its acceptance into the ledger', async () => {
    const { engine, points, trace } = await open();
    expect(await trace('order')).toMatchObject({ state: 'unknown', steps: [], partition: 0 });
    await points.credit('al', 5, { id: 'order' });
    await points.credit('al', 6, { id: 'later' });
    await points.credit('bo', 7, { id: 'order' });
    const pending = await trace('order');
    expect(pending).toMatchObject({ state: 'pending', program: 'loyalty', account: 'al', id: 'order' });
    expect(pending.steps).toMatchObject([
      { what: 'accepted', amount: '5' },
      { what: 'pending', amount: '5' },
    ]);
    engine.crashAt('claimed');
    await engine.flusher.flush(0).catch(() => {});
    expect(await trace('order')).toMatchObject({
      state: 'in-flight',
      sentence: expect.stringMatching(/in batch 1:/),
    });
    engine.crashAt('committed');
    await engine.flusher.flush(0).catch(() => {});
    expect(await trace('order')).toMatchObject({ state: 'ledger' });
    engine.crashAt(undefined);
    await engine.drain();
    const ledger = await trace('order');
    expect(ledger.steps).toMatchObject([
      { what: 'accepted', at: pending.steps[0]!.at },
      {
        what: 'ledger',
        at: expect.any(String),
        text: expect.stringMatching(/by batch 1; the balance was 5 /),
      },
    ]);
    expect((await trace('order', 'bo')).steps.at(-1)).toMatchObject({ amount: '7' });
    expect((await trace('order', 'zoe')).state).toBe('unknown');
  });

  it('tells of quarantine, and who replayed, edited or dropped what', async () => {
    const { engine, call, points, trace } = await open();
    await poison(engine);
    for (const [n, id] of ['bad1', 'bad2', 'bad3'].entries()) await points.credit('al', n + 1, { id });
    await points.credit('bo', 9, { id: 'bad1' });
    await engine.drain();
    const [first, second, third] = await quarantined(engine);
    const found = await trace('bad2');
    expect(found).toMatchObject({
      state: 'quarantine',
      sentence: expect.stringMatching(/ER_SIGNAL_EXCEPTION/),
    });
    expect(found.steps).toMatchObject([{ what: 'quarantine', quarantine: second, amount: '2' }]);
    const run = async (action: string, id: number | undefined, more = {}) => {
      const counted = { last: id, jobs: [] };
      const body = { action, filter: { ids: [id] }, reason: 'INC-9', counted, expected: 1, ...more };
      expect((await call.post('/api/quarantine/run', body)).status).toBe(202);
    };
    await run('replay', second);
    await until(async () => whats(await trace('bad2')).includes('operation'));
    expect(await trace('bad2')).toMatchObject({ state: 'quarantine' });
    expect((await trace('bad2')).steps.at(-1)!.text).toMatch(
      /\(replay by olga\): refused:ER_SIGNAL_EXCEPTION. Reason: INC-9/,
    );
    await mend(engine);
    await run('replay', first);
    await run('edit', second, { change: { amount: 20 } });
    await run('drop', third);
    await until(async () => {
      await engine.drain();
      return (await quarantined(engine)).length === 1;
    });
    await until(async () => whats(await trace('bad1')).includes('operation'));
    const replayed = await trace('bad1');
    expect(replayed.state).toBe('ledger');
    expect(whats(replayed)).toEqual(['accepted', 'quarantine', 'operation', 'ledger']);
    expect(replayed.steps[2]).toMatchObject({
      text: expect.stringMatching(/replay by olga\): replayed/),
      quarantine: first,
    });
    const edited = await trace('bad2');
    expect(edited.state).toBe('ledger');
    expect(edited.steps.filter(({ what }) => what === 'operation')).toMatchObject([
      { amount: '2' },
      { amount: '2', text: expect.stringMatching(/edit by olga\): edited/) },
    ]);
    expect(edited.steps.at(-1)).toMatchObject({ what: 'ledger', amount: '20' });
    const dropped = await trace('bad3');
    expect(dropped).toMatchObject({
      state: 'dropped',
      sentence: expect.stringMatching(/olga dropped it with operation \d/),
    });
    // The same id of another account is another entry.
    expect((await trace('bad1', 'bo')).state).toBe('quarantine');
  });

  it('tells of transfers and holds', async () => {
    const { engine, points, trace } = await open();
    await points.credit('al', 100, { id: 'a' });
    await points.transfer('al', 'bo', 30, { id: 't' });
    await points.hold('al', 20, { id: 'h' });
    expect(await trace('h')).toMatchObject({ state: 'hold', steps: [{ what: 'hold', amount: '20' }] });
    await engine.drain();
    const debit = await trace('t');
    expect(debit.state).toBe('ledger');
    expect(debit.steps.at(-1)).toMatchObject({
      what: 'transfer',
      amount: '30',
      text: expect.stringMatching(/The debit of transfer \S+ to "bo"\. The credit is in transit\./),
    });
    await engine.worker({ flushIntervalMs: 100 });
    await until(async () => /credited to "bo"/.test((await trace('t')).steps.at(-1)!.text));
    expect(await trace('h')).toMatchObject({
      state: 'hold',
      sentence: 'It is the id of a hold, which is open.',
    });
    await points.post('al', 'h', 15);
    await until(async () => /posted, with 15 points/.test((await trace('h')).steps.at(-1)!.text));
  });

  it('walks no further than its limit, and says so', async () => {
    const { engine, points, trace } = await open();
    const ids = Array.from({ length: 2100 }, (_, n) => `e${n}`);
    await Promise.all(ids.map(id => points.credit('al', 1, { id })));
    const far = await trace('e0');
    expect(far.state).toBe('unknown');
    expect(far.sentence).toMatch(/Redis remembers that it accepted the id/);
    expect(far.sentence).toMatch(/more than 2000 pending entries/);
    expect((await trace('e2099')).state).toBe('pending');
    await engine.drain();
    expect((await trace('e0')).state).toBe('ledger');
  });

  it('refuses what is no id of an account', async () => {
    const { call } = await open();
    const code = async (query: string) => (await call.get(`/api/trace?${query}`)).body.code;
    expect(await code('name=loyalty&key=al')).toBe('INVALID_REQUEST');
    expect(await code('name=views&key=al&id=a')).toBe('UNKNOWN_PROGRAM');
    expect(await code('name=__proto__&key=al&id=a')).toBe('UNKNOWN_PROGRAM');
    expect(await code(`name=loyalty&key=al&id=${'i'.repeat(256)}`)).toBe('INVALID_REQUEST');
    expect(await code('name=loyalty&key=al&id=%FF')).toBe('INVALID_REQUEST');
    for (const id of ['%25', "'%20OR%20'1", '%00x', '%00%01h', '%0A', '%5B%22loyalty%22', '%F0%9F%8E%89'])
      expect((await call.get(`/api/trace?name=loyalty&key=al&id=${id}`)).body.state, id).toBe('unknown');
  });
});
