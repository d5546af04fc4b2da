// The torture's client of the HTTP API, against an API whose engine fails at random and is closed now and then: what
// it journals is right, and an engine that loses or doubles is found.

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { check } from '../../scripts/torture/checker.ts';
import { HoldTraffic } from '../../scripts/torture/hold-traffic.ts';
import { Caller } from '../../scripts/torture/http-caller.ts';
import { closeConnections } from '../../scripts/torture/http-request.ts';
import { Journal, knownOf, readJournal } from '../../scripts/torture/journal.ts';
import { definitions, Traffic, type Update } from '../../scripts/torture/traffic.ts';
import type { ApplyResult } from '../../src/producer/callers.ts';
import type { Sluice } from '../../src/producer/client.ts';
import type { RedisUnavailableError } from '../../src/shared/errors.ts';
import { Keys } from '../../src/shared/redis/keys.ts';

import { listenOn } from '../support/api.ts';
import { until } from '../support/engine.ts';
import { temporaryFolder } from '../support/servers.ts';
import { Held, type Mistake } from '../support/torture-engine.ts';

const keys = new Keys('torture', 8);

/** The methods that the API calls for writes. */
function sluiceOf(held: Held): Sluice {
  const later = () => new Promise(resolve => setTimeout(resolve, 1));
  const one = async (update: Update) => {
    await later();
    return { ...held.take(update), text: 'x', persisted: async () => {} };
  };
  const entry =
    (points: string, sign: number) =>
    (account: string, amount: number, { id }: { id: string }) =>
      one({ points, account, amount: sign * amount, id });
  return {
    counter: (counter: string) => ({
      increment: (key: string, _: number, { id }: { id?: string }) =>
        one({ counter, key, ...(id === undefined ? {} : { id }) }),
    }),
    points: (points: string) => ({
      credit: entry(points, 1),
      debit: entry(points, -1),
      transfer: (from: string, to: string, amount: number, { id }: { id: string }) =>
        one({ points, from, to, amount, id }),
      hold: (account: string, hold: number, options: { id: string; expiresInMs?: number }) =>
        one({ points, account, hold, ...options }),
      post: (account: string, post: string, amount?: number) =>
        one({ points, account, post, ...(amount === undefined ? {} : { amount }) }),
      void: (account: string, id: string) => one({ points, account, void: id }),
    }),
    value: (value: string) => ({ put: (key: string, is: number) => one({ value, key, is }) }),
    apply: async (updates: readonly Update[]) => {
      await later();
      return updates.map((update): ApplyResult => {
        try {
          return { ok: true, ...held.take(update), text: 'x', persisted: async () => {} };
        } catch (error) {
          const { code, message, retryable } = error as RedisUnavailableError;
          return { ok: false, error: { code, message, retryable } };
        }
      });
    },
  } as unknown as Sluice;
}

/** What goes wrong in every run. */
const FAILURES = [
  'INSUFFICIENT_POINTS',
  'LEFT_BY_CLIENT',
  'UNKNOWN_HOLD',
  'HOLD_ENDED',
  'HOLD_EXCEEDED',
  'IDEMPOTENCY_KEY_REUSED',
];

/** A client sends until so many lines of streams are acknowledged, while APIs are closed and others opened. */
async function torture(mistake: Mistake) {
  const folder = await temporaryFolder();
  const plan = {
    addressFile: join(folder, 'address'),
    apiKey: 'x',
    name: 'h',
    seed: 3,
    journal: join(folder, 'journal'),
  };
  const held = new Held(mistake);
  const open = async () => {
    const opened = await listenOn(sluiceOf(held), definitions);
    writeFileSync(`${plan.addressFile}.new`, String(opened.port));
    renameSync(`${plan.addressFile}.new`, plan.addressFile);
    return opened.api;
  };
  let api = await open();
  const journal = new Journal(plan.journal);
  const traffic = new Traffic(plan.name, plan.seed);
  let count = 0;
  const runs = () => `h-${count++}`;
  const shared = { plan, journal, traffic, holds: new HoldTraffic(plan.name, traffic.random), runs };
  const callers = Array.from({ length: 4 }, (_, number) => new Caller(shared, number));
  const running = callers.map(caller => caller.run());
  const inStreams = () =>
    readJournal(plan.journal).filter(
      update => update.id.includes('-stream:') && knownOf(update) === 'acknowledged',
    ).length;
  for (const lines of [200, 600, 1000]) {
    await until(() => inStreams() > lines, `${lines} acknowledged lines`, 40_000);
    // With open requests, whose connections the client keeps: at once, or in order.
    const deadlineMs = lines === 600 ? 15_000 : 0;
    const inTime = await api.close(deadlineMs);
    if (deadlineMs > 0) expect(inTime).toBe(true);
    api = await open();
  }
  // An update that is sent again ends with another code, so each line of the journal counts.
  const codes = () =>
    [...readFileSync(plan.journal, 'utf8').matchAll(/^[ru] \d+ (\S+)$/gm)].map(([, code]) => code!);
  // It refuses no second end.
  const failures = FAILURES.filter(code => mistake !== 'ends holds twice' || code !== 'HOLD_ENDED');
  await until(() => failures.every(code => codes().includes(code)), 'what can go wrong', 40_000);
  for (const caller of callers) caller.stop();
  await Promise.all(running);
  await api.close(5000);
  closeConnections();
  held.holds.expireAll();
  const updates = readJournal(plan.journal);
  return { updates, codes: codes(), verdict: check(updates, held.holdings, keys) };
}

it('what is acknowledged is held exactly once, whatever is cut, closed or repeated', async () => {
  const { updates, codes, verdict } = await torture('none');
  expect(verdict).toMatchObject({ lost: 0, doubled: 0, problems: [] });
  expect(verdict.differences).toEqual([]);
  expect(verdict.acknowledged).toBeGreaterThan(1000);
  // Requests of every kind went through it, and what can go wrong went wrong.
  for (const code of FAILURES) expect(codes).toContain(code);
  expect(updates.some(({ id }) => id.includes('-array:'))).toBe(true);
  expect(updates.some(({ persisted }) => persisted)).toBe(true);
  for (const kind of ['c', 'p', 'v'])
    expect(updates.filter(update => update.kind === kind).length).toBeGreaterThan(100);
  for (const kind of ['hold', 'post', 'void'])
    expect(
      updates.filter(update => update.kind === kind && knownOf(update) === 'acknowledged').length,
    ).toBeGreaterThan(5);
});

it('an engine that loses what it acknowledges is found', async () => {
  expect((await torture('loses')).verdict.lost).toBeGreaterThan(0);
});

it('an engine that counts a repeated id again is found', async () => {
  expect((await torture('forgets ids')).verdict.doubled).toBeGreaterThan(0);
});

it('an engine that ends a hold twice is found', async () => {
  const { lost, doubled, problems, differences } = (await torture('ends holds twice')).verdict;
  expect(lost + doubled + problems.length).toBeGreaterThan(0);
  expect(differences.every(({ what }) => what.startsWith('hold '))).toBe(true);
});

it('an engine that does not keep the last put is found', async () => {
  const { lost, differences } = (await torture('keeps the first')).verdict;
  expect(lost).toBeGreaterThan(0);
  expect(differences.every(({ what }) => what.startsWith('value '))).toBe(true);
});
