/** The routes of counters. */
import { splitKey } from '../shared/composite-key.ts';
import { hasListKeys, type Target } from '../shared/config/target.ts';
import type { CounterKey } from '../shared/updates/key.ts';
import { idOf } from './idempotency-key.ts';
import { type Route, route } from './route.ts';
import { counterName, increment, KEYS_LIMIT, keysQuery, valuesAnswer, writeAnswer } from './schemas.ts';
import { written } from './written.ts';

export const counterRoutes: readonly Route[] = [
  route({
    method: 'POST',
    path: '/v1/counters/{name}',
    summary: 'Add to a counter',
    description:
      'Adds `by`, 1 if it is left out. With an id, a repeated request counts once within the window.',
    access: 'write',
    names: 'counter',
    idempotent: true,
    waits: true,
    shape: { params: counterName, body: increment },
    answers: { 200: { description: 'The new value', schema: writeAnswer } },
    async handle(call, { sluice }) {
      const { key, by, durability, ...body } = call.body;
      const id = idOf(call.idempotencyKey, body.id);
      const receipt = await sluice.counter(call.params.name).increment(key, by, {
        ...(id === undefined ? {} : { id }),
        ...(durability === undefined ? {} : { durability }),
      });
      return written(call, receipt, 200);
    },
  }),
  route({
    method: 'GET',
    path: '/v1/counters/{name}',
    summary: 'Read values of a counter',
    description: `Up to ${KEYS_LIMIT} keys, with every accepted update in the values. A composite key is its JSON text, such as \`["42","2026-11-28"]\`.`,
    access: 'read',
    names: 'counter',
    shape: { params: counterName, query: keysQuery },
    answers: { 200: { description: 'The values', schema: valuesAnswer } },
    async handle({ params: { name }, query }, { sluice, definitions }) {
      const counter = sluice.counter(name);
      return {
        body: {
          values: await counter.getMany(query.key.map(key => keyOf(key, definitions.counters[name]?.target))),
        },
      };
    },
  }),
];

/** The key of a query: a counter or value with composite keys takes the text of one. */
export function keyOf(text: string, target: Target | undefined): CounterKey {
  return (target && hasListKeys(target) ? splitKey(text) : undefined) ?? text;
}
