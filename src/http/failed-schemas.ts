/** What the routes of failed updates take and answer. */

import * as z from 'zod';
import { filterSchema } from '../replay/filter.ts';
import { ROW_KINDS, type RowKind } from '../shared/item.ts';
import { digits, one, parameter } from './parameters.ts';

const count = z.record(z.string(), z.int());
const filterText = parameter(one, {}).optional();
const FAILED_LIMIT = 1000;
const number = parameter(one, { type: 'integer', minimum: 0 })
  .refine(value => /^\d{1,15}$/.test(value), 'must be a whole number')
  .transform(Number);

export const failedQuery = z.strictObject({
  kind: parameter(one, { enum: Object.values(ROW_KINDS) }).optional(),
  name: filterText.describe('Counter, program or value'),
  key: filterText.describe('Key or account'),
  code: filterText.describe('Error code'),
  from: filterText.describe('Quarantined at this time or later, such as 2026-03-01T12:00:00Z'),
  until: filterText.describe('Quarantined before this time'),
  partition: number.optional(),
  sequence: number.optional().describe('Batch; needs the partition'),
  after: number.optional().describe('Number of the last update of the page before'),
  limit: digits(1, FAILED_LIMIT).optional().describe('100 by default'),
});

const selection = {
  filter: filterSchema.describe('All criteria must hold; at least one, unless "all" is true').optional(),
  all: z.boolean().optional().describe('Selects everything, if there is no filter'),
  dryRun: z.boolean().optional().describe('Only tells what would happen, as far as it gets in 3 seconds'),
  rate: z.number().positive().max(1_000_000).optional().describe('Most updates a second'),
};
export const replayBody = z
  .strictObject({
    ...selection,
    reason: z.string().min(1).max(255).optional().describe('Why, for the audit record'),
  })
  .meta({ id: 'Replay' });
export const dropBody = z
  .strictObject({
    ...selection,
    reason: z.string().min(1).max(255).optional().describe('Why; needed unless it is a dry run'),
  })
  .meta({ id: 'Drop' });

export const operationParams = z.strictObject({
  id: z
    .string()
    .regex(/^\d{1,15}$/, 'must be a number')
    .transform(Number)
    .meta({ parameter: { type: 'integer' } }),
});
export const pageQuery = z.strictObject({
  after: number.optional(),
  limit: digits(1, FAILED_LIMIT).optional(),
});

const failedUpdate = z
  .looseObject({
    id: z.int(),
    kind: z.enum(Object.values(ROW_KINDS) as [RowKind, ...RowKind[]]),
    name: z.string(),
    key: z.string(),
    amount: z.int(),
    entryId: z.string().nullable(),
    hold: z.string().nullable().describe('The id of the hold, if it is the debit of a post'),
    cause: z.enum(['refused', 'held']),
    code: z.string(),
    quarantinedAt: z.iso.datetime(),
  })
  .meta({ id: 'FailedUpdate' });
const job = z
  .looseObject({ job: z.string(), partition: z.int(), reason: z.string() })
  .meta({ id: 'FailedJob' });

export const failedAnswer = z
  .object({
    jobs: z.array(job),
    updates: z.array(failedUpdate),
    total: z.int().describe('Updates on all pages'),
    next: z.int().nullable().describe('The parameter "after" of the next page; null at the end'),
  })
  .meta({ id: 'Failed' });
export const planAnswer = z
  .object({
    action: z.string(),
    groups: z.array(z.looseObject({ outcome: z.string(), updates: z.int() })),
    jobs: z.array(job),
    tried: z.int().describe('Updates in the groups'),
    partial: z.boolean().describe('True if the time was over, so that more updates may match'),
  })
  .meta({ id: 'Plan' });
export const operationAnswer = z
  .looseObject({
    operation: z.int(),
    action: z.string(),
    operator: z.string(),
    reason: z.string().nullable(),
    address: z.string().nullable().describe('Where the request came from; null for commands'),
    rate: z
      .number()
      .nullable()
      .describe('Most updates a second, also when it is resumed; null without a limit'),
    startedAt: z.iso.datetime(),
    finishedAt: z.iso.datetime().nullable().describe('Null while it runs, or if it was interrupted'),
    outcomes: count.describe('Updates by outcome'),
    progress: z
      .object({ done: z.int(), total: z.int().nullable() })
      .nullable()
      .describe('Null unless the process that answers runs it'),
    items: z.array(z.looseObject({ id: z.int(), outcome: z.string() })).optional(),
  })
  .meta({ id: 'Operation' });
export const operationsAnswer = z.object({ operations: z.array(operationAnswer) }).meta({ id: 'Operations' });
