/** The route that tells what became of one entry: where it is, since when, and who did what to it. */
import * as z from 'zod';
import { LIMITS } from '../shared/limits.ts';
import type { OpenServers } from '../shared/open-servers.ts';
import type { Trace } from './answers.ts';
import { accountQuery, liveKeyOf, oneText } from './inputs.ts';
import { type Route, route } from './route.ts';
import { readLedger, readPending, type Wanted } from './trace-reads.ts';
import { traceOf } from './trace-story.ts';

const traceQuery = z.strictObject({ ...accountQuery, id: oneText(LIMITS.id) });

export const traceRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/trace',
    role: 'viewer',
    shape: { query: traceQuery },
    async handle({ query: { name, key, id } }, { definitions, servers }) {
      liveKeyOf({ kind: 'points', name, key }, definitions);
      return { body: await find(servers(), { program: name, account: key, id }) };
    },
  }),
];

/** Redis first: if a flush moves the entry between the two reads, it is seen twice, never missed. */
async function find(servers: OpenServers, wanted: Wanted): Promise<Trace> {
  const partition = servers.keys.partitionOf(wanted.account);
  const pending = await readPending(servers, partition, wanted);
  const ledger = await readLedger(servers.database, wanted);
  return traceOf(wanted, partition, pending, ledger);
}
