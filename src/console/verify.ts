/** The routes of comparisons: the one under way and the result of the last; a start; a start that repairs. */
import * as z from 'zod';
import { authorOf, reason } from './inputs.ts';
import type { ConsoleParts } from './parts.ts';
import { type Answer, type Asker, type Route, route } from './route.ts';

export const verifyRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/verify',
    role: 'viewer',
    shape: {},
    async handle(_call, { verifyRuns }) {
      return { body: verifyRuns.state };
    },
  }),
  route({
    method: 'POST',
    path: '/api/verify',
    role: 'operator',
    shape: {},
    async handle({ asker }, parts) {
      return started(parts, asker, undefined);
    },
  }),
  route({
    method: 'POST',
    path: '/api/verify/repair',
    role: 'admin',
    shape: { body: z.strictObject({ reason }) },
    async handle({ asker, body }, parts) {
      return started(parts, asker, body.reason);
    },
  }),
];

function started(
  { verifyRuns, servers, definitions, log }: ConsoleParts,
  asker: Asker,
  why: string | undefined,
): Answer {
  const repair = why === undefined ? undefined : authorOf(asker, why);
  verifyRuns.start({ ...servers(), definitions }, asker.name, repair);
  log.info(
    { operator: asker.name, address: asker.address, repairs: repair !== undefined },
    'a comparison of all values was started from the console',
  );
  return { status: 202, body: verifyRuns.state };
}
