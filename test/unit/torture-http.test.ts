// The torture's client of the HTTP API, against an API whose engine fails at random and is closed now and then: what
// it journals is right, and an engine that loses or doubles is found.

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { seededRandom } from '../../scripts/load/zipf.ts';
import { check } from '../../scripts/torture/checker.ts';
import type { HeldEntry, Holdings } from '../../scripts/torture/holdings.ts';
import { Caller } from '../../scripts/torture/http-caller.ts';
import { closeConnections } from '../../scripts/torture/http-request.ts';
import { Journal, knownOf, readJournal } from '../../scripts/torture/journal.ts';
import { definitions, Traffic } from '../../scripts/torture/traffic.ts';
import type { ApplyResult } from '../../src/producer/callers.ts';
import type { Sluice } from '../../src/producer/client.ts';
import {
  InsufficientPointsError,
  RedisUnavailableError,
  UnknownOutcomeError,
} from '../../src/shared/errors.ts';
import { Keys } from '../../src/shared/redis/keys.ts';
import type { SummedUpdate, ValueUpdate } from '../../src/shared/updates/update.ts';

import { listenOn } from '../support/api.ts';
import { until } from '../support/engine.ts';
import { temporaryFolder } from '../support/servers.ts';

const keys = new Keys('torture', 8);

/** Holds updates as MySQL would. */
class Held {
  readonly holdings: Holdings = {
    counters: new Map(),
    balances: new Map(),
    values: new Map(),
    entries: [] as HeldEntry[],
    losses: [],
    inTransit: new Map(),
    holds: [],
  };
  readonly #mistake: Mistake;
  readonly #known = new Set<string>();
  readonly #random = seededRandom(7);

  constructor(mistake: Mistake) {
    this.#mistake = mistake;
  }

  /** @throws an error, before or after it has counted the update */
  take(update: SummedUpdate | ValueUpdate): { value: number; duplicate: boolean } {
    const roll = this.#random();
    if (roll < 0.005) throw new RedisUnavailableError('redis');
    const answer = 'value' in update ? this.#put(update) : this.#count(update);
    if (roll < 0.01) throw new UnknownOutcomeError();
    return answer;
  }

  #put({ value: name, key, is }: ValueUpdate): { value: number; duplicate: boolean } {
    const { values } = this.holdings;
    const item = `${name} ${key}`;
    const before = values.get(item);
    const keeps = { best: Math.max, least: Math.min }[name];
    const value = before === undefined || !keeps ? is : keeps(before, is);
    const isFirstKept = this.#mistake === 'keeps the first' && before !== undefined;
    if (!isFirstKept && (this.#mistake !== 'loses' || this.#random() >= 0.01)) values.set(item, value);
    return { value, duplicate: false };
  }

  #count(update: SummedUpdate): { value: number; duplicate: boolean } {
    const item = 'counter' in update ? `${update.counter} ${update.key}` : itemOf(update);
    const name = `${item} ${update.id}`;
    if (update.id !== undefined && this.#known.has(name) && this.#mistake !== 'forgets ids')
      return { value: 1, duplicate: true };
    if ('from' in update) throw new InsufficientPointsError(update.points, update.amount, 0, 0, 0);
    const sums = 'counter' in update ? this.holdings.counters : this.holdings.balances;
    const amount = 'counter' in update ? 1 : update.amount;
    const value = (sums.get(item) ?? 0) + amount;
    if (amount < 0 && value < 0) throw new InsufficientPointsError('', -amount, value - amount, 0, 0);
    this.#known.add(name);
    if (this.#mistake === 'loses' && this.#random() < 0.01) return { value, duplicate: false };
    sums.set(item, value);
    if ('account' in update) {
      const { points: program, account, id } = update;
      const none = { transfer: null, other: null };
      this.holdings.entries.push({ program, account, id, amount, balanceAfter: value, ...none });
    }
    return { value, duplicate: false };
  }
}

type Mistake = 'none' | 'loses' | 'forgets ids' | 'keeps the first';

function itemOf(update: Exclude<SummedUpdate, { counter: string }>): string {
  return `${update.points} ${'from' in update ? update.from : update.account}`;
}

/** The methods that the API calls for writes. */
function sluiceOf(held: Held): Sluice {
  const later = () => new Promise(resolve => setTimeout(resolve, 1));
  const one = async (update: SummedUpdate | ValueUpdate) => {
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
    }),
    value: (value: string) => ({ put: (key: string, is: number) => one({ value, key, is }) }),
    apply: async (updates: readonly (SummedUpdate | ValueUpdate)[]) => {
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
const FAILURES = ['INSUFFICIENT_POINTS', 'LEFT_BY_CLIENT'];

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
  const callers = Array.from({ length: 4 }, (_, number) => new Caller(plan, journal, traffic, runs, number));
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
  await until(() => FAILURES.every(code => codes().includes(code)), 'what can go wrong', 40_000);
  for (const caller of callers) caller.stop();
  await Promise.all(running);
  await api.close(5000);
  closeConnections();
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
});

it('an engine that loses what it acknowledges is found', async () => {
  expect((await torture('loses')).verdict.lost).toBeGreaterThan(0);
});

it('an engine that counts a repeated id again is found', async () => {
  expect((await torture('forgets ids')).verdict.doubled).toBeGreaterThan(0);
});

it('an engine that does not keep the last put is found', async () => {
  const { lost, differences } = (await torture('keeps the first')).verdict;
  expect(lost).toBeGreaterThan(0);
  expect(differences.every(({ what }) => what.startsWith('value '))).toBe(true);
});
