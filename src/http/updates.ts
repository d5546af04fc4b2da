/** The route of many updates in one request, as a JSON array. */
import type { ApplyResult } from '../producer/client.ts';
import type { Update } from '../shared/updates/update.ts';
import type { Access } from './access.ts';
import { toldOf } from './problem.ts';
import { UnavailableForAll } from './request-error.ts';
import { type Route, route } from './route.ts';
import { UPDATES_LIMIT, type UpdateBody, updates, updatesAnswer } from './schemas.ts';

export const updatesRoutes: readonly Route[] = [
  route({
    method: 'POST',
    path: '/v1/updates',
    summary: 'Send many updates',
    description: `Up to ${UPDATES_LIMIT} updates in 1 MiB, applied in order once the whole array was read. A refused update affects no other: the answer has a result for each, in order. With \`Idempotency-Key: RUN\` update N without an id gets the id \`RUN:N\`, counted from 1.`,
    access: 'write',
    idempotent: true,
    shape: { body: updates },
    answers: { 200: { description: 'A result for each', schema: updatesAnswer } },
    async handle({ body, access, idempotencyKey }, { sluice }) {
      for (const update of body) checkNames(access, update);
      const results = await sluice.apply(
        idempotencyKey === undefined
          ? (body as Update[])
          : body.map((update, at) => withId(update, `${idempotencyKey}:${at + 1}`)),
      );
      refuseTogether(results);
      return { body: { results: results.map(shownResult) } };
    },
  }),
];

/** @throws RequestError if the key may not use the counter or program */
function checkNames(access: Access, update: UpdateBody): void {
  const { counters, programs } = access.key;
  if (counters === undefined && programs === undefined) return;
  if ('points' in update) access.checkName('program', update.points);
  else access.checkName('counter', update.counter);
}

function withId(update: UpdateBody, id: string): Update {
  return (update.id === undefined ? { ...update, id } : update) as Update;
}

/** If a server is away, all updates have the same error: then it is the answer of the request. */
function refuseTogether(results: readonly ApplyResult[]): void {
  const [first] = results;
  if (first?.ok !== false || !first.error.retryable) return;
  const { error } = first;
  if (results.every(result => !result.ok && result.error.code === error.code))
    throw new UnavailableForAll(error.code, error.message);
}

function shownResult(result: ApplyResult): unknown {
  if (!result.ok) return { error: toldOf(result.error) };
  return { value: result.value, duplicate: result.duplicate, state: 'accepted' };
}
