/** The route of many updates in one request: a JSON array, or NDJSON of any length. */
import type { ApplyResult } from '../producer/callers.ts';
import type { Update } from '../shared/updates/update.ts';
import { stateOfApplied } from './persistence.ts';
import { UnavailableForAll } from './request-error.ts';
import { type Route, route } from './route.ts';
import { UPDATES_LIMIT, updates, updatesAnswer, updatesQuery } from './schemas.ts';
import { checkNames, type ShownResult, shownResult, withId } from './shown-result.ts';
import { UpdateStream } from './update-stream.ts';

export const updatesRoutes: readonly Route[] = [
  route({
    method: 'POST',
    path: '/v1/updates',
    summary: 'Send many updates',
    description: `A JSON array of up to ${UPDATES_LIMIT} updates in 1 MiB is read whole, then applied in order; a refused update affects no other, and the answer has a result for each. NDJSON, an update a line, may have any length: the answer has a line for each refused update, and a last line with \`"done": true\`. Without that last line send it all again. With \`Idempotency-Key: RUN\`, update N without an id gets the id \`RUN:N\`, counted from 1.`,
    access: 'write',
    idempotent: true,
    waits: true,
    shape: { body: updates, query: updatesQuery },
    answers: { 200: { description: 'A result for each', schema: updatesAnswer } },
    async handle({ body, access, idempotencyKey, query: { durability }, waitMs }, { sluice }) {
      for (const update of body) checkNames(access, update);
      const results = await sluice.apply(
        idempotencyKey === undefined
          ? (body as Update[])
          : body.map((update, at) => withId(update, `${idempotencyKey}:${at + 1}`)),
        durability ? { durability } : {},
      );
      refuseTogether(results);
      const shown = await Promise.all(results.map(result => shownAfter(result, waitMs)));
      return { body: { results: shown } };
    },
    async stream({ access, idempotencyKey: run, query: { durability, results }, input, output }, { sluice }) {
      const options = { run, all: results === 'all', ...(durability ? { durability } : {}) };
      await new UpdateStream(sluice, access, options, output).run(input);
    },
  }),
];

function shownAfter(result: ApplyResult, waitMs: number | undefined): ShownResult | Promise<ShownResult> {
  if (!result.ok || waitMs === undefined) return shownResult(result);
  return stateOfApplied(result, waitMs).then(state => ({
    ...shownResult(result, state),
    receipt: result.text,
  }));
}

/** If a server is away, all updates have the same error: then it is the answer of the request. */
function refuseTogether(results: readonly ApplyResult[]): void {
  const [first] = results;
  if (first?.ok !== false || !first.error.retryable) return;
  const { error } = first;
  if (results.every(result => !result.ok && result.error.code === error.code))
    throw new UnavailableForAll(error.code, error.message);
}
