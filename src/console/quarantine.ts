/**
 * The routes of updates in quarantine: groups, pages, one update; what an action would do, and the action. An action
 * changes nothing but what its operator saw counted: the dry run says up to which update it counted, and which jobs, and
 * the run leaves alone what came later.
 */
import * as z from 'zod';
import { RequestError } from '../http/request-error.ts';
import { type CheckedFilter, checkFilter, filterSchema, matchesJob } from '../replay/filter.ts';
import type { Action, Change, FailedFilter, FailedUpdates, Plan } from '../replay/index.ts';
import { readJobs } from '../replay/jobs.ts';
import { TRIAL_MS, TRIALS_PER_SECOND } from '../replay/pace.ts';
import type { OpenServers } from '../shared/open-servers.ts';
import type {
  Count,
  Counted,
  QuarantinedUpdate,
  QuarantineGroups,
  QuarantinePage,
  ShownPlan,
} from './answers.ts';
import { authorOf, filterQuery, given, idParams, limit, number, reason, refused } from './inputs.ts';
import type { ConsoleParts } from './parts.ts';
import {
  countedGroups,
  countRows,
  GLANCE,
  LISTED_GROUPS,
  type Limits,
  pageOfRows,
} from './quarantine-rows.ts';
import { type Route, route } from './route.ts';
import { goesOn, shownItems } from './shown-operations.ts';
import { shownRow, shownUpdate } from './shown-updates.ts';

const groupsQuery = z.strictObject(filterQuery);
const pageQuery = z.strictObject({ ...filterQuery, after: number.optional(), limit: limit(200) });
/** A number that JavaScript would round is an object with its digits; `checkChange` refuses it by its size. */
const anyNumber = z.custom<number>(
  value => typeof value === 'number' || JSON.isRawJSON(value),
  'must be a whole number',
);
const object = z.custom<Record<string, unknown>>(
  value => typeof value === 'object' && value !== null && !Array.isArray(value) && !JSON.isRawJSON(value),
  'must be an object',
);
const change = z.strictObject({
  amount: anyNumber.optional(),
  reason: z.string().nullable().optional(),
  metadata: object.nullable().optional(),
});
const selection = {
  action: z.enum(['replay', 'edit', 'drop']),
  filter: filterSchema.optional(),
  all: z.boolean().optional(),
  change: change.optional(),
};
const planBody = z.strictObject(selection);
const runBody = z.strictObject({
  ...selection,
  reason,
  rate: z.number().positive().max(1_000_000).optional(),
  counted: z.strictObject({ last: z.int().min(0), jobs: filterSchema.shape.jobs.unwrap() }),
  expected: z.int().min(0),
});

export const quarantineRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/quarantine/groups',
    role: 'viewer',
    shape: { query: groupsQuery },
    async handle({ query }, { servers }) {
      const filter = checkFilter(given(query) as FailedFilter);
      const { groups, total } = await countedGroups(servers().database, filter);
      const listed = groups.slice(0, LISTED_GROUPS);
      const unlisted = groups.length - listed.length;
      return { body: { groups: listed, unlisted, total } satisfies QuarantineGroups };
    },
  }),
  route({
    method: 'GET',
    path: '/api/quarantine',
    role: 'viewer',
    shape: { query: pageQuery },
    async handle({ query: { after = 0, limit = 50, ...criteria }, asker }, { servers }) {
      const filter = checkFilter(given(criteria) as FailedFilter);
      const { database } = servers();
      const { rows, next } = await pageOfRows(database, filter, after, limit);
      const total = await countRows(database, filter, GLANCE);
      const updates = rows.map(row => shownRow(row, asker.seesPayloads));
      return { body: { updates, total, next } satisfies QuarantinePage };
    },
  }),
  route({
    method: 'GET',
    path: '/api/quarantine/{id}',
    role: 'viewer',
    shape: { params: idParams },
    async handle({ params: { id }, asker }, parts) {
      if (id === 0) throw unknown(id);
      const failed = await parts.failed();
      const [found] = await failed.show([id]);
      const { update, items } = found!;
      if (!update && items.length === 0) throw unknown(id);
      const shown: QuarantinedUpdate = {
        id,
        update: update && shownUpdate(update, asker.seesPayloads),
        items: await shownItems(items, failed, asker),
      };
      return { body: shown };
    },
  }),
  route({
    method: 'POST',
    path: '/api/quarantine/plan',
    role: 'viewer',
    shape: { body: planBody },
    async handle({ body }, parts) {
      return { body: await plan(body, parts.servers(), parts) };
    },
  }),
  route({
    method: 'POST',
    path: '/api/quarantine/run',
    role: 'operator',
    shape: { body: runBody },
    async handle({ body, asker }, parts) {
      const { action, filter, change } = selected(body);
      const still = await frozen(filter, action, body, parts.servers());
      const author = authorOf(asker, body.reason);
      const failed = await parts.failed();
      return goesOn(
        options => started(failed, action, filter, change, author, { ...options, ...still }),
        body.rate,
        parts,
        asker,
      );
    },
  }),
];

function unknown(id: number): RequestError {
  return new RequestError('NOT_FOUND', `No update with the number ${id} is or was in quarantine.`);
}

interface Selected {
  readonly action: Action;
  readonly filter: CheckedFilter;
  readonly change: Change | undefined;
}

/** @throws RequestError unless exactly one of a filter and `all` selects, and an edit alone has a change */
function selected({ action, filter, all = false, change }: z.output<typeof planBody>): Selected {
  const checked = checkFilter((filter ?? {}) as FailedFilter);
  const isEmpty = Object.keys(given(checked)).length === 0;
  if (isEmpty && !all) throw refused('Nothing is selected; give a filter, or "all": true.');
  if (!isEmpty && all) throw refused('"all" cannot be combined with a filter; leave one out.');
  if ((action === 'edit') !== (change !== undefined))
    throw refused(
      action === 'edit' ? 'An edit needs a change; give one.' : `A ${action} takes no change; leave it out.`,
    );
  return { action, filter: checked, change };
}

/** How long, and up to what, the updates are counted that an action would change. */
const EXACT: Limits = { ms: 5000, most: 50_000_000 };

async function plan(
  body: z.output<typeof planBody>,
  open: OpenServers,
  parts: ConsoleParts,
): Promise<ShownPlan> {
  const { action, filter, change } = selected(body);
  const last = await newest(open);
  const count = await countRows(open.database, filter, { ...EXACT, last });
  const failed = await parts.failed();
  const options = {
    lastId: last,
    rate: TRIALS_PER_SECOND,
    signal: AbortSignal.timeout(TRIAL_MS),
    ...(change ? { change } : {}),
  };
  const { groups, jobs }: Plan = await failed.plan(action, filter, options);
  const tried = groups.reduce((sum, { updates }) => sum + updates, 0);
  const updates = Math.max(count.count, tried);
  const partial = count.atLeast || tried < updates;
  const counted: Counted = { last, jobs: jobs.map(({ job }) => job) };
  return { action, updates, jobs: jobs.length, groups, partial, tried, counted };
}

/** Number of the newest update in quarantine; 0 if there is none. */
async function newest({ database }: OpenServers): Promise<number> {
  const [row] = await database.query('SELECT COALESCE(MAX(id), 0) AS last FROM sluice_quarantine');
  return Number(row!.last);
}

/**
 * What of the things that were counted is still there: an action changes nothing else.
 * @throws RequestError if more match than its operator saw
 */
async function frozen(
  filter: CheckedFilter,
  action: Action,
  { counted, expected }: Pick<z.output<typeof runBody>, 'counted' | 'expected'>,
  open: OpenServers,
): Promise<{ readonly lastId: number; readonly jobs: readonly string[] }> {
  const lastId = Math.min(counted.last, await newest(open));
  const updates: Count = await countRows(open.database, filter, { ...EXACT, last: lastId });
  const there = action === 'edit' ? [] : await readJobs(open.queue);
  const jobs = there
    .filter(job => matchesJob(filter, job) && counted.jobs.includes(job.job))
    .map(({ job }) => job);
  const found = updates.count + jobs.length;
  if (found > expected || updates.atLeast)
    throw new RequestError(
      'COUNT_CHANGED',
      `${updates.atLeast ? 'At least ' : ''}${found} updates and jobs match now, and ${expected} were shown; look again, then confirm the new number${updates.atLeast ? ', or narrow the filter' : ''}.`,
    );
  return { lastId, jobs };
}

function started(
  failed: FailedUpdates,
  action: Action,
  filter: CheckedFilter,
  change: Change | undefined,
  author: ReturnType<typeof authorOf>,
  options: Parameters<FailedUpdates['replay']>[2],
): ReturnType<FailedUpdates['replay']> {
  if (action === 'replay') return failed.replay(filter, author, options);
  if (action === 'drop') return failed.drop(filter, author, options);
  return failed.edit(filter, change!, author, options);
}
