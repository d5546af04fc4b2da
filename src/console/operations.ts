/** The routes of operations: the audit record, its export, and how to stop or continue one. */
import { Readable } from 'node:stream';
import * as z from 'zod';
import { one } from '../http/parameters.ts';
import { Operations } from '../replay/operations.ts';
import type { OperationDetail, OperationsPage } from './answers.ts';
import { idParams, limit, number, text } from './inputs.ts';
import type { ConsoleParts } from './parts.ts';
import { type Asker, type Route, route } from './route.ts';
import { answered, oneOperation, shownItems, shownOperation } from './shown-operations.ts';

const ACTIONS = ['replay', 'edit', 'drop', 'repair', 'recover', 'retry', 'return', 'void'] as const;
const criteria = {
  operator: one.pipe(text(1020)).optional(),
  action: one.pipe(z.enum(ACTIONS)).optional(),
};
const listQuery = z.strictObject({ ...criteria, before: number.optional(), limit: limit(200) });
const exportQuery = z.strictObject(criteria);
const itemsQuery = z.strictObject({ after: number.optional(), limit: limit(500) });
const CHANGES = ['replay', 'edit', 'drop'] as const;
/** Operations that the export reads at a time. */
const PAGE = 200;

export const operationRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/operations',
    role: 'viewer',
    shape: { query: listQuery },
    async handle({ query: { limit = 50, ...filter }, asker }, parts) {
      const found = await new Operations(parts.servers().database).list(limit + 1, filter);
      const page = found.slice(0, limit);
      const next = found.length > limit ? page.at(-1)!.operation : null;
      const operations = page.map(operation => shownOperation(operation, parts, asker));
      return { body: { operations, next } satisfies OperationsPage };
    },
  }),
  route({
    method: 'GET',
    path: '/api/operations.ndjson',
    role: 'viewer',
    shape: { query: exportQuery },
    async handle({ query, asker, reply }, parts) {
      // Asked for before the first byte, so that an outage is an error and not half a file.
      const lines = exported(query, parts, asker);
      const first = await lines.next();
      await reply
        .header('content-type', 'application/x-ndjson')
        .header('content-disposition', 'attachment; filename="operations.ndjson"')
        .send(Readable.from(resumed(first, lines), { objectMode: false }));
      return undefined;
    },
  }),
  route({
    method: 'GET',
    path: '/api/operations/{id}',
    role: 'viewer',
    shape: { params: idParams, query: itemsQuery },
    async handle({ params: { id }, query: { after = 0, limit = 100 }, asker }, parts) {
      const failed = await parts.failed();
      const shown = await oneOperation(id, parts, asker);
      const items = await failed.items(id, { after, limit });
      const detail: OperationDetail = {
        ...shown,
        items: await shownItems(items, failed, asker),
        next: items.length === limit ? items.at(-1)!.id : null,
      };
      return { body: detail };
    },
  }),
  route({
    method: 'POST',
    path: '/api/operations/{id}/stop',
    role: 'operator',
    shape: { params: idParams },
    async handle({ params: { id }, asker }, parts) {
      // An unknown one is refused as such. Read before: what was stopped must not be answered with an error.
      const found = await (await parts.failed()).operation(id);
      parts.running.cancel(id);
      const { name: operator, address } = asker;
      parts.log.info({ operation: id, operator, address }, 'an operation was stopped from the console');
      return { body: shownOperation(found, parts, asker) };
    },
  }),
  route({
    method: 'POST',
    path: '/api/operations/{id}/resume',
    role: 'operator',
    shape: { params: idParams },
    async handle({ params: { id }, asker }, parts) {
      const failed = await parts.failed();
      const resumed = await parts.running.resume(id, options => failed.resume(CHANGES, id, options));
      return resumed
        ? answered(resumed, parts, asker)
        : { status: 202, body: await oneOperation(id, parts, asker) };
    },
  }),
];

async function* exported(
  filter: z.output<typeof exportQuery>,
  parts: ConsoleParts,
  asker: Asker,
): AsyncGenerator<string, undefined> {
  const operations = new Operations(parts.servers().database);
  for (let before: number | undefined; ; ) {
    const page = await operations.list(PAGE, { ...filter, before });
    for (const operation of page) yield `${JSON.stringify(shownOperation(operation, parts, asker))}\n`;
    if (page.length < PAGE) return;
    before = page.at(-1)!.operation;
  }
}

async function* resumed(
  first: IteratorResult<string, undefined>,
  rest: AsyncGenerator<string, undefined>,
): AsyncGenerator<string> {
  if (first.done) return;
  yield first.value;
  yield* rest;
}
