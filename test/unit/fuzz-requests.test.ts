// Requests that were bent at random: none is answered with 5xx or ends the process, and one that is refused has
// applied nothing. FUZZ_REQUESTS=1000000 makes as many; FUZZ_SEED repeats a run.

import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { createApi } from '../../src/http/api.ts';
import type { KeyRing } from '../../src/http/key-ring.ts';
import { ApiMetrics } from '../../src/http/metrics.ts';
import { RunningOperations } from '../../src/http/running-operations.ts';
import type { ApplyResult } from '../../src/producer/callers.ts';
import type { Sluice } from '../../src/producer/client.ts';
import { readApi } from '../../src/shared/config/api.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { SluiceError } from '../../src/shared/errors.ts';
import { createLog } from '../../src/shared/log.ts';
import { checkKey, checkText } from '../../src/shared/updates/key.ts';
import {
  checkCounter,
  checkHold,
  checkHoldId,
  checkName,
  checkPoints,
  checkPost,
  checkUpdate,
  checkVoid,
  type Update,
} from '../../src/shared/updates/update.ts';

const REQUESTS = Number(process.env.FUZZ_REQUESTS ?? 3000);
const SEED = Number(process.env.FUZZ_SEED ?? 1);

const definitions = parseDefinitions({
  counters: { views: {}, pairs: { target: { table: 'pairs', key: ['a', 'b'], column: 'n' } } },
  points: { loyalty: {} },
});

/** Mulberry32: small, and the same everywhere. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
const random = randomOf(SEED);
const below = (n: number) => Math.floor(random() * n);
const pick = <Item>(items: readonly Item[]): Item => items[below(items.length)]!;

/** Checks as a producer does, and counts what it would have sent. */
function recorder() {
  const state = { applied: 0 };
  const receipt = { value: 1, duplicate: false, text: 'x', persisted: async () => {} };
  const taken = (check: () => unknown) => {
    check();
    state.applied++;
    return receipt;
  };
  const sluice = {
    counter: (name: string) => {
      checkName('counter', name, definitions);
      return {
        increment: async (key: string, by: number | undefined, { id }: { id?: string }) =>
          taken(() => checkCounter(name, key, by, id, definitions)),
        getMany: async (keys: string[]) => keys.map(key => checkKey(key, name, definitions).length),
      };
    },
    points: (points: string) => {
      checkName('program', points, definitions);
      const entry = (sign: number) => async (account: string, amount: number, options: object) =>
        taken(() =>
          checkPoints({ points, account, amount: sign * amount, ...options } as never, definitions),
        );
      const account = (text: string) => checkText(text, 'INVALID_ACCOUNT', 'account', 255);
      return {
        credit: entry(1),
        debit: entry(-1),
        hold: async (account: string, hold: number, options: { id: string }) =>
          taken(() => checkHold({ points, account, hold, ...options }, definitions)),
        post: async (account: string, post: string, amount: number | undefined, options: object) =>
          taken(() => checkPost({ points, account, post, amount, ...options }, definitions)),
        void: async (account: string, hold: string) =>
          taken(() => checkVoid({ points, account, void: hold }, definitions)),
        findHold: async (text: string, hold: string) => {
          checkHoldId(hold);
          return account(text);
        },
        account: async (text: string) => account(text),
        history: async (text: string) => account(text) ?? [],
      };
    },
    apply: async (updates: readonly Update[]) =>
      updates.map((update): ApplyResult => {
        try {
          return { ok: true, ...taken(() => checkUpdate(update, definitions)) };
        } catch (error) {
          if (!(error instanceof SluiceError)) throw error;
          const { code, message, retryable } = error;
          return { ok: false, error: { code, message, retryable } };
        }
      }),
    receipt: () => undefined,
  } as unknown as Sluice;
  return { sluice, state };
}

const RIGHTS = { scopes: ['read', 'write', 'operate'], rate: 0, name: 'fuzz', id: 'fuzz' };

function openFuzzed() {
  const { sluice, state } = recorder();
  const ring = { find: () => RIGHTS, look: async () => undefined, has: () => true } as unknown as KeyRing;
  const log = createLog('silent', 'stderr');
  /** A body that lost its "dryRun" starts an operation. */
  const run = async (...args: unknown[]) => {
    const { onStart } = args.at(-1) as { onStart: (operation: number, recorded: object) => void };
    onStart(1, { operation: 1 });
  };
  const failed = async () => ({
    replay: run,
    drop: run,
    operation: async () => ({ operation: 1 }),
    list: async () => ({ updates: [], jobs: [], total: 0 }),
    plan: async () => ({ groups: [], jobs: [] }),
    operations: async () => [],
  });
  const api = createApi(
    {
      sluice,
      definitions,
      ring,
      log,
      addresses: { redis: 'test', database: 'test' },
      metrics: new ApiMetrics(new Registry()),
      running: new RunningOperations(log),
      failed: failed as never,
    },
    readApi(() => undefined),
  );
  return { api, state };
}

const SEEDS: readonly (readonly [method: 'GET' | 'POST', url: string, body?: string, type?: string])[] = [
  ['POST', '/v1/counters/views', '{"key":"/a","by":5,"id":"x","durability":"memory"}'],
  ['POST', '/v1/counters/pairs', '{"key":["a",12345678901234567890]}'],
  ['GET', '/v1/counters/views?key=a&key=b%20c'],
  [
    'POST',
    '/v1/points/loyalty/entries',
    '{"account":"a","amount":-5,"id":"x","reason":"r","metadata":{"a":[1.50,{"b":null}]}}',
  ],
  ['GET', '/v1/points/loyalty/entries?account=a&limit=5&cursor=MXg'],
  ['GET', '/v1/points/loyalty/balance?account=a'],
  ['POST', '/v1/points/loyalty/holds', '{"account":"a","amount":5,"id":"x","expiresInMs":60000}'],
  [
    'POST',
    '/v1/points/loyalty/holds/post',
    '{"account":"a","hold":"x","amount":5,"reason":"r","metadata":{"a":[1.50]}}',
  ],
  ['POST', '/v1/points/loyalty/holds/void', '{"account":"a","hold":"x","durability":"memory"}'],
  ['GET', '/v1/points/loyalty/holds?account=a&hold=x'],
  [
    'POST',
    '/v1/updates',
    '[{"points":"loyalty","account":"a","hold":5,"id":"x","expiresInMs":6},{"points":"loyalty","account":"a","post":"x","amount":1},{"points":"loyalty","account":"a","void":"x"}]',
  ],
  [
    'POST',
    '/v1/updates?durability=replica',
    '[{"counter":"views","key":"a"},{"points":"loyalty","account":"a","amount":1,"id":"1"}]',
  ],
  [
    'POST',
    '/v1/updates?results=all',
    '{"counter":"views","key":"a"}\n{"points":"loyalty","account":"a","amount":1}\n',
    'application/x-ndjson',
  ],
  ['GET', '/v1/receipts?receipt=x&wait=0'],
  ['GET', '/v1/failed?kind=counter&partition=1&sequence=2&limit=5'],
  ['POST', '/v1/failed/replay', '{"filter":{"name":"views","ids":[1]},"dryRun":true}'],
  ['POST', '/v1/failed/drop', '{"all":true,"dryRun":true,"reason":"r"}'],
];

const PIECES = [
  '"',
  '\\',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '\n',
  '\r\n',
  '\0',
  '\u2028',
  '\ufeff',
  '\ud800',
  '\\ud800',
  '\\u0000',
  '0',
  '-0',
  '-1',
  '1e999',
  '9007199254740993',
  '0.1',
  '1e3',
  '5.0',
  'null',
  'true',
  '""',
  '[]',
  '{}',
  '"__proto__":1,',
  '"key":"again",',
  '"constructor":{"prototype":{}},',
  '"id":"x",',
  '%',
  '%ff',
  '%00',
  '%2f',
  '&',
  '=',
  '+',
  '#',
  '/',
  ';',
  '..',
  'x'.repeat(300),
  '[['.repeat(200),
];
const HEADERS: readonly (readonly [string, readonly string[]])[] = [
  [
    'content-type',
    [
      'application/json',
      'application/json\t;x',
      'application/x-ndjson',
      'text/plain',
      '',
      'application/json;charset=latin1',
    ],
  ],
  ['idempotency-key', ['x', '"x"', '"', 'a b', 'é', '"a", "b"', 'x'.repeat(300)]],
  ['prefer', ['wait=0', 'wait=99999999', 'wait=', 'respond-async,wait=0;x']],
  ['content-length', ['0', '5', '-1', '99999999', 'x']],
  ['content-encoding', ['gzip']],
  ['if-none-match', ['*', '"x"']],
];

function bent(text: string, times: number): string {
  let result = text;
  for (let n = 0; n < times; n++) {
    const at = below(result.length + 1);
    const to = at + below(Math.min(12, result.length - at + 1));
    const kind = below(4);
    if (kind === 0) result = result.slice(0, at) + pick(PIECES) + result.slice(at);
    else if (kind === 1) result = result.slice(0, at) + result.slice(to);
    else if (kind === 2)
      result = result.slice(0, at) + String.fromCharCode(below(300)) + result.slice(at + 1);
    else result = result.slice(0, to) + result.slice(at);
  }
  return result;
}

it(`${REQUESTS} bent requests`, { timeout: 3_600_000 }, async () => {
  const { api, state } = openFuzzed();
  await api.app.ready();
  const statuses = new Map<number, number>();
  for (let n = 0; n < REQUESTS; n++) {
    const [method, target, text, type = 'application/json'] = pick(SEEDS);
    const path = random() < 0.3 ? bent(target, 1 + below(3)) : target;
    const body = text === undefined ? undefined : random() < 0.8 ? bent(text, 1 + below(4)) : text;
    const headers: Record<string, string> = { authorization: 'Bearer x' };
    if (body !== undefined) headers['content-type'] = type;
    for (const [name, values] of HEADERS) if (random() < 0.08) headers[name] = pick(values);
    const before = state.applied;
    const url = path.startsWith('/') ? path : `/${path}`;
    // The client in this process refuses it; the server never sees it.
    if (!URL.canParse(url, 'http://localhost')) continue;
    const reply = await api.app.inject({
      method,
      url,
      headers,
      ...(body === undefined ? {} : { payload: body }),
    });
    const shown = () =>
      `request ${n} of seed ${SEED}: ${method} ${url} ${JSON.stringify(headers)} ${JSON.stringify(body)}: ${reply.statusCode} ${reply.payload}`;
    statuses.set(reply.statusCode, (statuses.get(reply.statusCode) ?? 0) + 1);
    if (reply.statusCode >= 500) throw new Error(shown());
    if (reply.statusCode >= 400) {
      if (state.applied !== before) throw new Error(`applied although refused: ${shown()}`);
      const problem = JSON.parse(reply.payload);
      if (problem.status !== reply.statusCode || typeof problem.code !== 'string') throw new Error(shown());
    } else if (String(reply.headers['content-type']).includes('ndjson')) {
      const last = JSON.parse(reply.payload.trimEnd().split('\n').at(-1)!);
      if (last.done !== true || last.accepted !== state.applied - before) throw new Error(shown());
    }
  }
  // Both what is right and what is wrong was among them.
  expect(statuses.get(200)).toBeGreaterThan(REQUESTS / 50);
  expect(statuses.get(400)).toBeGreaterThan(REQUESTS / 10);
  expect([...statuses.keys()].every(status => status < 500)).toBe(true);
  await api.close(0);
});
