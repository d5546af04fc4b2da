/** The routes of holds: points of an account that are kept for one use. */
import { UnknownHoldError } from '../shared/errors.ts';
import { idOf } from './idempotency-key.ts';
import { type Route, route } from './route.ts';
import { hold, holdAnswer, holdQuery, post, programName, voidBody, writeAnswer } from './schemas.ts';
import { written } from './written.ts';

const ENDED = { 200: { description: 'The balance, and what is held of it', schema: writeAnswer } };

export const holdRoutes: readonly Route[] = [
  route({
    method: 'POST',
    path: '/v1/points/{name}/holds',
    summary: 'Hold points of an account',
    description:
      'Nobody can spend them until a post takes them, a void frees them, or their time is over. The id, in the body or in `Idempotency-Key`, is known for ever, apart from ids of entries.',
    access: 'write',
    names: 'program',
    idempotent: true,
    waits: true,
    shape: { params: programName, body: hold },
    answers: {
      201: { description: 'The balance, and what is held of it', schema: writeAnswer },
      200: {
        description: 'The id was known: nothing was changed; how the account stands now',
        schema: writeAnswer,
      },
    },
    async handle(call, { sluice }) {
      const { account, amount, id, expiresInMs, durability } = call.body;
      const options = {
        // A missing id is refused by the producer.
        id: idOf(call.idempotencyKey, id) as string,
        ...(expiresInMs === undefined ? {} : { expiresInMs }),
        ...(durability === undefined ? {} : { durability }),
      };
      return written(call, await sluice.points(call.params.name).hold(account, amount, options), 201);
    },
  }),
  route({
    method: 'POST',
    path: '/v1/points/{name}/holds/post',
    summary: 'Take the points of a hold, or a part of them',
    description:
      'Ends the hold; what is left of it is free again. The same amount again is a duplicate, so it needs no idempotency key.',
    access: 'write',
    names: 'program',
    waits: true,
    shape: { params: programName, body: post },
    answers: ENDED,
    async handle(call, { sluice }) {
      const { account, hold: id, amount, reason, metadata, durability } = call.body;
      const options = {
        ...(reason === undefined ? {} : { reason }),
        ...(metadata === undefined ? {} : { metadata }),
        ...(durability === undefined ? {} : { durability }),
      };
      return written(call, await sluice.points(call.params.name).post(account, id, amount, options), 200);
    },
  }),
  route({
    method: 'POST',
    path: '/v1/points/{name}/holds/void',
    summary: 'End a hold and free its points',
    description: 'The same again is a duplicate, so it needs no idempotency key.',
    access: 'write',
    names: 'program',
    waits: true,
    shape: { params: programName, body: voidBody },
    answers: ENDED,
    async handle(call, { sluice }) {
      const { account, hold: id, durability } = call.body;
      const options = durability === undefined ? {} : { durability };
      return written(call, await sluice.points(call.params.name).void(account, id, options), 200);
    },
  }),
  route({
    method: 'GET',
    path: '/v1/points/{name}/holds',
    summary: 'Read a hold',
    description:
      'With every accepted update. A hold whose time is over is `open` until a worker or a caller ends it, within seconds.',
    access: 'read',
    names: 'program',
    shape: { params: programName, query: holdQuery },
    answers: { 200: { description: 'How it stands', schema: holdAnswer } },
    async handle({ params: { name }, query: { account, hold: id } }, { sluice }) {
      const found = await sluice.points(name).findHold(account, id);
      if (!found) throw new UnknownHoldError(name, id);
      const expiresAt = found.expiresAt === null ? null : new Date(found.expiresAt);
      return { body: { account, hold: id, ...found, expiresAt } };
    },
  }),
];
