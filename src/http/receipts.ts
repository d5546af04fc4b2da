/** The route that tells whether updates are in MySQL. */
import { OWNERS } from '../shared/item.ts';
import { stateOf } from './persistence.ts';
import { RequestError } from './request-error.ts';
import { type Route, route } from './route.ts';
import { receiptsAnswer, receiptsQuery } from './schemas.ts';

export const receiptRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/receipts',
    summary: 'Ask whether updates are in MySQL',
    description:
      'A receipt comes with the answer of a write that has `Prefer: wait=SECONDS`, such as `wait=0`.',
    access: 'read',
    shape: { query: receiptsQuery },
    answers: { 200: { description: 'The states', schema: receiptsAnswer } },
    async handle({ query: { receipt, wait = 0 }, access }, { sluice }) {
      const found = receipt.map((text, at) => {
        const known = sluice.receipt(text);
        if (known) return known;
        throw new RequestError('INVALID_REQUEST', 'A receipt is not one that an answer had.', {
          problems: [{ at: 'receipt', problem: `number ${at + 1} is not known` }],
        });
      });
      for (const { kind, name } of found) access.checkName(OWNERS[kind], name);
      return { body: { states: await Promise.all(found.map(one => stateOf(one, wait * 1000))) } };
    },
  }),
];
