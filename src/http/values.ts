/** The routes of values that are kept instead of summed. */

import { keyOf } from './counters.ts';
import { type Route, route } from './route.ts';
import { KEYS_LIMIT, keptAnswer, keysQuery, put, valueName, writeAnswer } from './schemas.ts';
import { written } from './written.ts';

export const valueRoutes: readonly Route[] = [
  route({
    method: 'POST',
    path: '/v1/values/{name}',
    summary: 'Put a value',
    description:
      'Keeps the greatest, the least or the last put, as the definition says. A repeated put of a greatest or least value changes nothing; one of a last value is a new put.',
    access: 'write',
    names: 'value',
    waits: true,
    shape: { params: valueName, body: put },
    answers: { 200: { description: 'The value that is kept', schema: writeAnswer } },
    async handle(call, { sluice }) {
      const { key, is, durability } = call.body;
      const options = durability === undefined ? {} : { durability };
      const receipt = await sluice.value(call.params.name).put(key, is, options);
      return written(call, receipt, 200);
    },
  }),
  route({
    method: 'GET',
    path: '/v1/values/{name}',
    summary: 'Read values',
    description: `Up to ${KEYS_LIMIT} keys, with every accepted put in the values; null for a key that has none. A composite key is its JSON text, such as \`["42","2026-11-28"]\`.`,
    access: 'read',
    names: 'value',
    shape: { params: valueName, query: keysQuery },
    answers: { 200: { description: 'The values', schema: keptAnswer } },
    async handle({ params: { name }, query }, { sluice, definitions }) {
      const value = sluice.value(name);
      return {
        body: {
          values: await value.getMany(query.key.map(key => keyOf(key, definitions.values[name]?.target))),
        },
      };
    },
  }),
];
