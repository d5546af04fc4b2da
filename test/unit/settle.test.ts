// What `sluice ingest` does with each result of a producer: count it, send the line again, or stop.

import { describe, expect, it } from 'vitest';
import type { ApplyResult } from '../../src/producer/callers.ts';
import type { Sluice } from '../../src/producer/client.ts';
import { type Sent, settle } from '../../src/producer/settle.ts';
import type { Update } from '../../src/shared/updates/update.ts';

const RETRYABLE = new Set([
  'REDIS_UNAVAILABLE',
  'REDIS_OUT_OF_MEMORY',
  'UNKNOWN_OUTCOME',
  'PRODUCER_OVERLOADED',
]);

/** Answers each call with the next row of codes: `ok`, `duplicate` or the code of an error. */
function answering(...calls: string[][]) {
  const sent: Update[][] = [];
  const apply = async (updates: readonly Update[]) => {
    sent.push([...updates]);
    const codes = calls.shift()!;
    expect(codes).toHaveLength(updates.length);
    return codes.map((code): ApplyResult => {
      const persisted = async () => {};
      if (code === 'ok' || code === 'duplicate')
        return { ok: true, value: 1, duplicate: code === 'duplicate', persisted, text: '' };
      return { ok: false, error: { code, message: code, retryable: RETRYABLE.has(code) } };
    });
  };
  return { sluice: { apply } as unknown as Sluice, sent };
}

function listening() {
  const heard: string[] = [];
  const listener = {
    accepted: (_: number, { duplicate }: { duplicate: boolean }) =>
      void heard.push(duplicate ? 'duplicate' : 'accepted'),
    rejected: (line: number, { code }: { code: string }) => void heard.push(`${line} ${code}`),
  };
  return { heard, listener };
}

const view = (line: number, id?: string): Sent => ({ line, update: { counter: 'views', key: 'k', id } });
const entry = (line: number, amount: number, account = 'a'): Sent => ({
  line,
  update: { points: 'loyalty', account, amount, id: String(line) },
});

describe('settle', () => {
  it('counts settled lines and resends only those with a retryable error', async () => {
    const { sluice, sent } = answering(
      ['ok', 'REDIS_UNAVAILABLE', 'INVALID_KEY', 'REDIS_OUT_OF_MEMORY', 'duplicate'],
      ['ok', 'PRODUCER_OVERLOADED'],
      ['ok'],
    );
    const { heard, listener } = listening();
    const lines = [view(1), view(2), view(3), view(4), view(5)];
    expect(await settle(sluice, lines, { patienceMs: 10_000 }, listener)).toBeUndefined();
    expect(heard).toEqual(['accepted', '3 INVALID_KEY', 'duplicate', 'accepted', 'accepted']);
    expect(sent.map(call => call.length)).toEqual([5, 2, 1]);
  });

  it('resends an unknown outcome if the line has an id, and stops at once if it has none', async () => {
    const safe = answering(['UNKNOWN_OUTCOME'], ['duplicate']);
    expect(
      await settle(safe.sluice, [view(1, 'x')], { patienceMs: 10_000 }, listening().listener),
    ).toBeUndefined();
    const unsafe = answering(['ok', 'REDIS_UNAVAILABLE', 'UNKNOWN_OUTCOME', 'ok']);
    const { heard, listener } = listening();
    const lines = [view(1), view(2), view(3), view(4)];
    expect(await settle(unsafe.sluice, lines, { patienceMs: 10_000 }, listener)).toMatchObject({
      error: { code: 'UNKNOWN_OUTCOME' },
      line: 2,
      others: 1,
    });
    expect(heard).toEqual(['accepted', 'accepted']);
    expect(unsafe.sent).toHaveLength(1);
  });

  it('stops at an error that every line would meet', async () => {
    const { sluice } = answering(['ok', 'ACCESS_DENIED', 'ACCESS_DENIED']);
    const { heard, listener } = listening();
    expect(await settle(sluice, [view(7), view(8), view(9)], { patienceMs: 10_000 }, listener)).toMatchObject(
      {
        error: { code: 'ACCESS_DENIED' },
        line: 8,
        others: 1,
      },
    );
    expect(heard).toEqual(['accepted']);
  });

  it('gives up after its time limit', async () => {
    const { sluice } = answering(['REDIS_UNAVAILABLE']);
    expect(await settle(sluice, [view(7)], { patienceMs: 0 }, listening().listener)).toMatchObject({
      error: { code: 'REDIS_UNAVAILABLE' },
      line: 7,
      others: 0,
    });
  });

  it('sends a put again behind one of the same key on a line above that had to be retried', async () => {
    const put = (line: number, is: number, key = 'k'): Sent => ({ line, update: { value: 'seen', key, is } });
    const lines = [put(1, 5), put(2, 6, 'other'), put(3, 7)];
    const { sluice, sent } = answering(['REDIS_UNAVAILABLE', 'ok', 'ok'], ['ok', 'ok']);
    const { heard, listener } = listening();
    const retried = new Set<string>();
    expect(await settle(sluice, lines, { patienceMs: 10_000, retried }, listener)).toBeUndefined();
    expect(heard).toEqual(['accepted', 'accepted', 'accepted']);
    expect(sent[1]).toEqual([lines[0]!.update, lines[2]!.update]);
    // Lines that were sent meanwhile: they are put again once those above are settled.
    const later = answering(['ok', 'ok'], ['ok']);
    const next = [put(4, 8), put(5, 9, 'other')];
    expect(await settle(later.sluice, next, { patienceMs: 0, retried }, listener)).toBeUndefined();
    expect(later.sent[1]).toEqual([next[0]!.update]);
    expect(heard).toHaveLength(5);
  });

  it('rejects a line that names an unknown value, and goes on', async () => {
    const { sluice } = answering(['UNKNOWN_VALUE', 'ok']);
    const { heard, listener } = listening();
    expect(await settle(sluice, [view(1), view(2)], { patienceMs: 0 }, listener)).toBeUndefined();
    expect(heard).toEqual(['1 UNKNOWN_VALUE', 'accepted']);
  });

  it('rejects no debit before the credits above it have arrived', async () => {
    const { sluice, sent } = answering(
      ['REDIS_UNAVAILABLE', 'INSUFFICIENT_POINTS', 'INSUFFICIENT_POINTS'],
      ['ok', 'INSUFFICIENT_POINTS'],
    );
    const { heard, listener } = listening();
    const lines = [entry(1, 5), entry(2, -9), entry(3, -1, 'other')];
    expect(await settle(sluice, lines, { patienceMs: 10_000 }, listener)).toBeUndefined();
    expect(heard).toEqual(['3 INSUFFICIENT_POINTS', 'accepted', '2 INSUFFICIENT_POINTS']);
    expect(sent[1]).toEqual([lines[0]!.update, lines[1]!.update]);
  });
});
