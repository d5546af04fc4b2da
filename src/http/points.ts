/** The routes of points programs. */
import type * as z from 'zod';
import type { PointsOptions } from '../producer/points-handle.ts';
import type { HistoryEntry } from '../producer/reads.ts';
import { parseExact } from '../shared/exact-json.ts';
import { checkAmount } from '../shared/updates/update.ts';
import { idOf } from './idempotency-key.ts';
import { RequestError } from './request-error.ts';
import { type Route, route } from './route.ts';
import {
  accountQuery,
  balanceAnswer,
  entry,
  historyAnswer,
  historyQuery,
  programName,
  transfer,
  writeAnswer,
} from './schemas.ts';
import { written } from './written.ts';

const PAGE = 50;

export const pointsRoutes: readonly Route[] = [
  route({
    method: 'POST',
    path: '/v1/points/{name}/entries',
    summary: 'Add an entry to an account',
    description:
      'A negative amount takes points, never below the floor of the program. The id, in the body or in `Idempotency-Key`, is known for ever.',
    access: 'write',
    names: 'program',
    idempotent: true,
    waits: true,
    shape: { params: programName, body: entry },
    answers: {
      201: { description: 'The new balance', schema: writeAnswer },
      200: { description: 'The id was known; the first answer again', schema: writeAnswer },
    },
    async handle(call, { sluice }) {
      const { account, ...rest } = call.body;
      const amount = checkAmount(rest.amount);
      const program = sluice.points(call.params.name);
      const options = optionsOf(call.idempotencyKey, rest);
      const receipt = await (amount < 0
        ? program.debit(account, -amount, options)
        : program.credit(account, amount, options));
      return written(call, receipt, 201);
    },
  }),
  route({
    method: 'POST',
    path: '/v1/points/{name}/transfers',
    summary: 'Move points from one account to another',
    description:
      'Answers when the points are taken, with the balance of `from`; they reach `to` soon, exactly once. The id is one of `from`, known for ever.',
    access: 'write',
    names: 'program',
    idempotent: true,
    waits: true,
    shape: { params: programName, body: transfer },
    answers: {
      201: { description: 'The new balance of the source', schema: writeAnswer },
      200: { description: 'The id was known; the first answer again', schema: writeAnswer },
    },
    async handle(call, { sluice }) {
      const { from, to, amount, ...rest } = call.body;
      const options = optionsOf(call.idempotencyKey, rest);
      return written(call, await sluice.points(call.params.name).transfer(from, to, amount, options), 201);
    },
  }),
  route({
    method: 'GET',
    path: '/v1/points/{name}/balance',
    summary: 'Read the balance of an account',
    description:
      'With every accepted entry, what is held of it, and what is free; all 0 for an account without entries.',
    access: 'read',
    names: 'program',
    shape: { params: programName, query: accountQuery },
    answers: { 200: { description: 'The balance', schema: balanceAnswer } },
    async handle({ params, query: { account } }, { sluice }) {
      return { body: { account, ...(await sluice.points(params.name).account(account)) } };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/points/{name}/entries',
    summary: 'Read the entries of an account, the newest first',
    description: 'Entries that MySQL does not have yet are among them, with `"persisted": false`.',
    access: 'read',
    names: 'program',
    shape: { params: programName, query: historyQuery },
    answers: { 200: { description: 'A page', schema: historyAnswer } },
    async handle({ params, query: { account, limit = PAGE, cursor } }, { sluice }) {
      const before = cursor === undefined ? {} : { before: idOfCursor(cursor) };
      // One more than asked tells whether there is a next page.
      const found = await sluice.points(params.name).history(account, { limit: limit + 1, ...before });
      const page = found.slice(0, limit);
      const next = found.length > limit ? cursorOf(page.at(-1)!.id) : null;
      return { body: { entries: page.map(shownEntry), next } };
    },
  }),
];

function optionsOf(
  header: string | undefined,
  {
    id,
    reason,
    metadata,
    durability,
  }: Pick<z.infer<typeof entry>, 'id' | 'reason' | 'metadata' | 'durability'>,
): PointsOptions {
  return {
    // A missing id is refused by the producer.
    id: idOf(header, id) as string,
    ...(reason === undefined ? {} : { reason }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(durability === undefined ? {} : { durability }),
  };
}

function shownEntry({ metadata: _, metadataText, ...shown }: HistoryEntry) {
  return { ...shown, metadata: metadataText === null ? null : parseExact(metadataText) };
}

/** Callers must not rely on what is in a cursor. */
function cursorOf(id: string): string {
  return Buffer.from(`1${id}`).toString('base64url');
}

function idOfCursor(cursor: string): string {
  const text = Buffer.from(cursor, 'base64url').toString();
  if (text.startsWith('1') && cursorOf(text.slice(1)) === cursor && text.length > 1) return text.slice(1);
  throw new RequestError('INVALID_REQUEST', 'The cursor is not one that an answer had in "next".', {
    problems: [{ at: 'cursor', problem: 'is not known' }],
  });
}
