/** The routes of ranks: of the keys of a counter or value, and of the accounts of a points program. */
import * as z from 'zod';
import type { BoardHandle, BoardPlace, TopPage } from '../producer/board.ts';
import type { Sluice } from '../producer/client.ts';
import type { CounterKey } from '../shared/updates/key.ts';
import { keyOf } from './counters.ts';
import { digits, one } from './parameters.ts';
import { RequestError } from './request-error.ts';
import { type Parts, type Route, route } from './route.ts';
import { counterName, KEYS_LIMIT, programName, valueName } from './schemas.ts';

const KEYS = z.array(z.string()).min(1).max(KEYS_LIMIT).meta({ description: 'Given once for each' });
const key = z.union([z.string(), z.array(z.union([z.string(), z.number()]))]);
const board = {
  size: z.int().describe('How many have a rank'),
  exact: z
    .boolean()
    .describe(
      'Whether every accepted update counted; false while ranks are built anew, mostly for less than a second',
    ),
};
const member = z.object({ rank: z.int(), key, value: z.int() });
const ranksAnswer = z
  .object({
    ...board,
    ranks: z.array(z.object({ key, rank: z.int().nullable(), value: z.int().nullable() })),
  })
  .meta({ id: 'Ranks' });
const topAnswer = z
  .object({ ...board, members: z.array(member), next: z.string().nullable() })
  .meta({ id: 'Top' });
const aroundAnswer = z.object({ ...board, members: z.array(member) }).meta({ id: 'Around' });

const COUNT = 10;
const topQuery = z.strictObject({
  count: digits(1, 1000).optional().describe('10 by default'),
  cursor: one.optional(),
});
const neighbours = digits(0, 500).optional().describe('How many before and after it; 5 by default');

/** What differs between counters, programs and values. */
interface Kind {
  readonly names: 'counter' | 'program' | 'value';
  readonly path: string;
  readonly parameter: 'key' | 'account';
  readonly members: string;
  readonly params: typeof counterName;
  boardOf(name: string, sluice: Sluice): BoardHandle<CounterKey>;
  keyOf(text: string, name: string, parts: Parts): CounterKey;
}

const kinds: readonly Kind[] = [
  {
    names: 'counter',
    path: '/v1/counters/{name}',
    parameter: 'key',
    members: 'keys of a ranked counter',
    params: counterName,
    boardOf: (name, sluice) => sluice.counter(name).board as BoardHandle<CounterKey>,
    keyOf: (text, name, { definitions }) => keyOf(text, definitions.counters[name]?.target),
  },
  {
    names: 'program',
    path: '/v1/points/{name}',
    parameter: 'account',
    members: 'accounts of a ranked program',
    params: programName,
    boardOf: (name, sluice) => sluice.points(name).board as BoardHandle<CounterKey>,
    keyOf: text => text,
  },
  {
    names: 'value',
    path: '/v1/values/{name}',
    parameter: 'key',
    members: 'keys of a ranked value',
    params: valueName,
    boardOf: (name, sluice) => sluice.value(name).board as BoardHandle<CounterKey>,
    keyOf: (text, name, { definitions }) => keyOf(text, definitions.values[name]?.target),
  },
];

export const rankRoutes: readonly Route[] = kinds.flatMap(kind => [
  ranksOf(kind),
  topOf(kind),
  aroundOf(kind),
]);

function ranksOf(kind: Kind): Route {
  const { names, path, parameter, members, params } = kind;
  return route({
    method: 'GET',
    path: `${path}/ranks`,
    summary: `Read ranks of ${members}`,
    description: `1 is the highest value; equal values share a rank. Null without updates. Up to ${KEYS_LIMIT}, in order.`,
    access: 'read',
    names,
    shape: { params, query: z.strictObject({ [parameter]: KEYS }) },
    answers: { 200: { description: 'The ranks', schema: ranksAnswer } },
    async handle(call, parts) {
      const { name } = call.params;
      const asked = (call.query as Record<string, string[]>)[parameter]!;
      const keys = asked.map(text => kind.keyOf(text, name, parts));
      return { body: await kind.boardOf(name, parts.sluice).ranks(keys) };
    },
  });
}

function topOf(kind: Kind): Route {
  const { names, path, members, params } = kind;
  return route({
    method: 'GET',
    path: `${path}/top`,
    summary: `Read the first ${members}`,
    access: 'read',
    names,
    shape: { params, query: topQuery },
    answers: { 200: { description: 'A page, the highest value first', schema: topAnswer } },
    async handle({ params: { name }, query: { count = COUNT, cursor } }, { sluice }) {
      const after = cursor === undefined ? {} : { after: placeOf(cursor) };
      return { body: shown(await kind.boardOf(name, sluice).top(count, after)) };
    },
  });
}

function aroundOf(kind: Kind): Route {
  const { names, path, parameter, members, params } = kind;
  return route({
    method: 'GET',
    path: `${path}/around`,
    summary: `Read the neighbours among the ${members}`,
    access: 'read',
    names,
    shape: { params, query: z.strictObject({ [parameter]: one, count: neighbours }) },
    answers: {
      200: { description: 'It with its neighbours; no members without updates', schema: aroundAnswer },
    },
    async handle(call, parts) {
      const { name } = call.params;
      const { count = 5, ...asked } = call.query as { count?: number } & Record<string, string>;
      const at = kind.keyOf(asked[parameter]!, name, parts);
      return { body: await kind.boardOf(name, parts.sluice).around(at, count) };
    },
  });
}

function shown({ after, ...page }: TopPage<CounterKey>) {
  return { ...page, next: after ? cursorOf(after) : null };
}

/** Callers must not rely on what is in a cursor. */
function cursorOf({ value, partition, key: text }: BoardPlace): string {
  return Buffer.from(JSON.stringify([value, partition, text])).toString('base64url');
}

const place = z.tuple([z.int(), z.int().min(0).max(1023), z.string().min(1)]);

/** @throws RequestError */
function placeOf(cursor: string): BoardPlace {
  try {
    const [value, partition, text] = place.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
    return { value, partition, key: text };
  } catch (cause) {
    throw new RequestError('INVALID_REQUEST', 'The cursor is not one that an answer had in "next".', {
      cause,
      problems: [{ at: 'cursor', problem: 'is not known' }],
    });
  }
}
