/** Selects failed updates and flush jobs. */

import * as z from 'zod';
import { joinKey } from '../shared/composite-key.ts';
import { ConfigurationError } from '../shared/errors.ts';
import { ROW_KINDS, type RowKind } from '../shared/item.ts';
import { LIMITS } from '../shared/limits.ts';
import type { FailedJob } from './jobs.ts';

export const instant = z.iso.datetime({
  offset: true,
  error: 'must be a time with a zone, as 2026-03-01T12:00:00Z',
});
/** At most as long as a key. A lone surrogate would be sent as another character, and match other updates. */
export const text = z
  .string()
  .min(1)
  .max(LIMITS.key)
  .refine(given => given.isWellFormed(), 'holds a lone surrogate, which UTF-8 cannot carry');

/** A composite key may be a list of its parts, as in calls. */
const keyParts = z
  .array(z.union([text, z.literal(''), z.int(), z.bigint()]))
  .min(2)
  .readonly()
  .transform(parts => joinKey(parts.map(String)));

export const filterSchema = z.strictObject({
  ids: z.array(z.int().min(1)).max(10_000).optional(),
  jobs: z.array(text).max(10_000).optional(),
  kind: z.enum(Object.values(ROW_KINDS) as [RowKind, ...RowKind[]]).optional(),
  name: text.optional(),
  key: z.union([text, keyParts], { error: 'must be a key, or the list of the parts of one' }).optional(),
  keyPrefix: text.optional(),
  code: text.optional(),
  from: instant.optional(),
  until: instant.optional(),
  partition: z.int().min(0).optional(),
  sequence: z.int().min(0).optional(),
});

/**
 * All given criteria must hold. An empty filter selects everything.
 * - `ids` (numbers in `sluice_quarantine`) and `jobs` (ids of failed flush jobs) select only those that they
 *   name
 * - `kind`, `name` (counter, program or value), `key` (key or account), `keyPrefix` (how its text begins), `code` (error
 *   code) and `sequence` (of the batch; needs `partition`) select updates only, and no jobs; a composite key is its text
 *   or a list
 * - `from` (inclusive) and `until` (exclusive), ISO 8601 with a zone: when the update was quarantined or the
 *   job failed
 */
export type FailedFilter = Readonly<z.input<typeof filterSchema>>;
/** A filter that passed the checks; a composite key is its text. */
export type CheckedFilter = Readonly<z.output<typeof filterSchema>>;

/** @throws ConfigurationError */
export function checkFilter(filter: FailedFilter): CheckedFilter {
  const parsed = filterSchema.safeParse(filter);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      issue => `${issue.path.join('.') || 'filter'}: ${issue.message}`,
    );
    throw new ConfigurationError(`The filter is not valid: ${problems.join('; ')}.`);
  }
  if (parsed.data.sequence !== undefined && parsed.data.partition === undefined)
    throw new ConfigurationError('The filter names a batch without its partition; add the partition.');
  return parsed.data;
}

/** Whether updates can match. A filter with `jobs` and without `ids` selects jobs only. */
export function meansUpdates(filter: CheckedFilter): boolean {
  return filter.ids !== undefined || filter.jobs === undefined;
}

/** A pattern of LIKE for texts that begin with this one. The escape is `|` in every statement. */
export function beginsWith(prefix: string): string {
  return `${prefix.replace(/[|%_]/g, '|$&')}%`;
}

/** The filter's parameters of failed-updates.sql. */
export function filterParameters(filter: CheckedFilter): unknown[] {
  const { ids, kind, name, key, keyPrefix, code, from, until, partition, sequence } = filter;
  const twice = (value: unknown) => [value ?? null, value ?? null];
  const bytes = (value: string | undefined) => (value === undefined ? undefined : Buffer.from(value));
  const time = (value: string | undefined) => (value === undefined ? undefined : new Date(value));
  return [
    ids === undefined,
    ids === undefined || ids.length === 0 ? [0] : ids,
    ...twice(kind),
    ...twice(bytes(name)),
    ...twice(bytes(key)),
    ...twice(bytes(keyPrefix && beginsWith(keyPrefix))),
    ...twice(code),
    ...twice(time(from)),
    ...twice(time(until)),
    ...twice(partition),
    ...twice(sequence),
  ];
}

export function matchesJob(filter: CheckedFilter, job: FailedJob): boolean {
  const { ids, jobs, kind, name, key, keyPrefix, code, sequence, partition, from, until } = filter;
  if (jobs !== undefined && !jobs.includes(job.job)) return false;
  if (jobs === undefined && ids !== undefined) return false;
  if ([kind, name, key, keyPrefix, code, sequence].some(criterion => criterion !== undefined)) return false;
  if (partition !== undefined && job.partition !== partition) return false;
  const failedAt = Date.parse(job.failedAt);
  if (from !== undefined && failedAt < Date.parse(from)) return false;
  return until === undefined || failedAt < Date.parse(until);
}
