/** Selects transfers that wait for their credit. */
import * as z from 'zod';
import { ConfigurationError } from '../shared/errors.ts';
import { instant, text } from './filter.ts';

const filterSchema = z.strictObject({
  transfers: z.array(text).min(1).max(10_000).optional(),
  name: text.optional(),
  account: text.optional(),
  state: z.enum(['open', 'aside'], { error: 'must be open or aside' }).optional(),
  code: text.optional(),
  from: instant.optional(),
  until: instant.optional(),
});

/**
 * All given criteria must hold. An empty filter selects everything.
 * - `transfers`: names of transfers
 * - `name`: the program; `account`: source or destination
 * - `state`: `open` (in transit, workers drive it) or `aside` (MySQL refuses its credit)
 * - `code`: the error code with which MySQL refused the credit
 * - `from` (inclusive) and `until` (exclusive), ISO 8601 with a zone: when the debit was written
 */
export type TransferFilter = Readonly<z.input<typeof filterSchema>>;
/** A filter that passed the checks. */
export type CheckedTransferFilter = Readonly<z.output<typeof filterSchema>>;

/** @throws ConfigurationError */
export function checkTransferFilter(filter: TransferFilter): CheckedTransferFilter {
  const parsed = filterSchema.safeParse(filter);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(issue => `${issue.path.join('.') || 'filter'}: ${issue.message}`);
  throw new ConfigurationError(`The filter of transfers is not valid: ${problems.join('; ')}.`);
}

/** The filter's parameters of transfers.sql. */
export function transferParameters(filter: CheckedTransferFilter): unknown[] {
  const { transfers, name, account, state, code, from, until } = filter;
  const bytes = (value: string | undefined) => (value === undefined ? null : Buffer.from(value));
  const time = (value: string | undefined) => (value === undefined ? null : new Date(value));
  const twice = (value: unknown) => [value, value];
  return [
    transfers === undefined,
    // No transfer has an empty name.
    transfers === undefined ? [''] : transfers.map(one => Buffer.from(one)),
    ...twice(bytes(name)),
    ...twice(bytes(account)),
    ...twice(state ?? null),
    ...twice(code ?? null),
    ...twice(time(from)),
    ...twice(time(until)),
  ];
}
