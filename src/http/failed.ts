/** The routes of failed updates, and of the operations on them. */
import type { Action, FailedFilter, FailedUpdates, Operation, RunOptions } from '../replay/index.ts';
import { TRIAL_MS, TRIALS_PER_SECOND } from '../replay/pace.ts';
import {
  dropBody,
  failedAnswer,
  failedQuery,
  operationAnswer,
  operationParams,
  operationsAnswer,
  pageQuery,
  planAnswer,
  replayBody,
} from './failed-schemas.ts';
import { RequestError } from './request-error.ts';
import { type Answer, type Call, type Parts, type Route, route } from './route.ts';

const STARTED = {
  202: { description: 'The operation, which goes on', schema: operationAnswer },
  200: { description: 'What it would do, with `dryRun`', schema: planAnswer },
};

export const failedRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/failed',
    summary: 'List updates in quarantine, and failed flush jobs',
    access: 'operate',
    shape: { query: failedQuery },
    answers: { 200: { description: 'A page, the oldest first', schema: failedAnswer } },
    async handle({ query: { after = 0, limit = 100, ...filter } }, { failed }) {
      const page = await (await failed()).list(filter as FailedFilter, { after, limit });
      const last = page.updates.at(-1);
      return { body: { ...page, next: page.updates.length === limit && last ? last.id : null } };
    },
  }),
  route({
    method: 'POST',
    path: '/v1/failed/replay',
    summary: 'Write failed updates again',
    description: 'Answers once the operation is recorded, and goes on. `Location` shows how far it is.',
    access: 'operate',
    shape: { body: replayBody },
    answers: STARTED,
    handle: (call, parts) => started('replay', call, parts),
  }),
  route({
    method: 'POST',
    path: '/v1/failed/drop',
    summary: 'Discard failed updates, also from the live values',
    access: 'operate',
    shape: { body: dropBody },
    answers: STARTED,
    handle: (call, parts) => started('drop', call, parts),
  }),
  route({
    method: 'GET',
    path: '/v1/operations',
    summary: 'List operations, the newest first',
    access: 'operate',
    shape: { query: pageQuery.pick({ limit: true }) },
    answers: { 200: { description: 'The audit record', schema: operationsAnswer } },
    async handle({ query: { limit = 20 } }, parts) {
      const found = await (await parts.failed()).operations(limit);
      return { body: { operations: found.map(one => shown(one, parts)) } };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/operations/{id}',
    summary: 'Show an operation: how far it is, and what it did to each update',
    access: 'operate',
    shape: { params: operationParams, query: pageQuery },
    answers: { 200: { description: 'The operation', schema: operationAnswer } },
    async handle({ params: { id }, query: { after = 0, limit = 100 } }, parts) {
      const failed = await parts.failed();
      const items = await failed.items(id, { after, limit });
      return { body: { ...shown(await failed.operation(id), parts), items } };
    },
  }),
  route({
    method: 'POST',
    path: '/v1/operations/{id}/cancel',
    summary: 'Stop an operation before its next update',
    description: 'Only the process that runs it can do that. It can be resumed.',
    access: 'operate',
    shape: { params: operationParams },
    answers: { 200: { description: 'The operation', schema: operationAnswer } },
    async handle({ params: { id }, access, reply }, parts) {
      const operation = await (await parts.failed()).operation(id);
      parts.running.cancel(id);
      parts.log.info({ operation: id, ...askerOf(access, reply) }, 'an operation was stopped over HTTP');
      return { body: shown(operation, parts) };
    },
  }),
  route({
    method: 'POST',
    path: '/v1/operations/{id}/resume',
    summary: 'Continue an operation that was interrupted or cancelled',
    access: 'operate',
    shape: { params: operationParams },
    answers: { 202: { description: 'The operation, which goes on', schema: operationAnswer } },
    async handle({ params: { id }, access, reply }, parts) {
      const failed = await parts.failed();
      const resumed = await parts.running.resume(id, options =>
        failed.resume(['replay', 'edit', 'drop'], id, options),
      );
      // Its record names who started it.
      const asker = askerOf(access, reply);
      if (resumed) parts.log.info({ operation: id, ...asker }, 'an operation was continued over HTTP');
      return goesOn(resumed ?? (await failed.operation(id)), { reply }, parts);
    },
  }),
];

interface Selection {
  readonly filter?: FailedFilter | undefined;
  readonly all?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
  readonly rate?: number | undefined;
  readonly reason?: string | undefined;
}

async function started(
  action: Extract<Action, 'replay' | 'drop'>,
  { body, access, reply }: Pick<Call<unknown, unknown, Selection>, 'body' | 'access' | 'reply'>,
  parts: Parts,
): Promise<Answer> {
  const { filter = {}, all = false, dryRun = false, rate, reason } = body;
  if (Object.keys(filter).length === 0 && !all)
    throw new RequestError('INVALID_REQUEST', 'Nothing is selected; give a filter, or "all": true.');
  if (Object.keys(filter).length > 0 && all)
    throw new RequestError('INVALID_REQUEST', '"all" cannot be combined with a filter; leave one out.');
  const failed = await parts.failed();
  if (dryRun) return { body: await tried(action, filter, rate, reply, failed) };
  if (action === 'drop' && reason === undefined)
    throw new RequestError('INVALID_REQUEST', 'A drop needs a reason, for the audit record; give one.');
  const author = { ...askerOf(access, reply), reason };
  const run = (options: RunOptions) =>
    action === 'drop'
      ? failed.drop(filter, { ...author, reason: reason! }, options)
      : failed.replay(filter, author, options);
  return goesOn(await parts.running.start(run, rate), { reply }, parts);
}

/** Operators of the command line have user names, which have no colon. */
function askerOf({ key }: Call['access'], { request }: Call['reply']) {
  return { operator: `key:${key.name}`, address: request.ip };
}

/** A plan that ends in time, also when its client goes away: a client that asks again must not add another one. */
async function tried(
  action: Extract<Action, 'replay' | 'drop'>,
  filter: FailedFilter,
  wanted: number | undefined,
  { raw }: Call['reply'],
  failed: FailedUpdates,
) {
  const gone = new AbortController();
  raw.once('close', () => gone.abort());
  if (raw.destroyed) gone.abort();
  const signal = AbortSignal.any([AbortSignal.timeout(TRIAL_MS), gone.signal]);
  const rate = action === 'replay' ? Math.min(wanted ?? TRIALS_PER_SECOND, TRIALS_PER_SECOND) : wanted;
  const plan = await failed.plan(action, filter, { rate, signal });
  const updates = plan.groups.reduce((sum, group) => sum + group.updates, 0);
  return { ...plan, tried: updates, partial: signal.aborted };
}

/** Reads nothing: an operation that was recorded must not be answered with an error. */
function goesOn(operation: Operation, { reply }: Pick<Call, 'reply'>, parts: Parts): Answer {
  reply.header('location', `/v1/operations/${operation.operation}`);
  return { status: 202, body: shown(operation, parts) };
}

function shown(operation: Operation, { running }: Parts) {
  return { ...operation, progress: running.progressOf(operation.operation) ?? null };
}
