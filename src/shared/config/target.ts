/** A mapping into a table of the user, as definitions write it. */
import * as z from 'zod';

/** Bytes of a mapping as JSON: `sluice_targets` holds it, and its names and constants are in statements. */
const LONGEST_TARGET = 1024;
const MOST_PARTS = 8;

const identifier = z.string().min(1).max(64);
const uuidColumn = z
  .strictObject({
    column: identifier.describe('Name of the column'),
    format: z.literal('uuid').describe('Text of the key: a UUID in lower case, in a column BINARY(16)'),
  })
  .describe('A key column that shows its bytes in another form');
const keyColumn = z.union([identifier, uuidColumn], {
  error: 'must be the name of a column, or {"column": "...", "format": "uuid"}',
});
const KEY_COLUMNS = `must be the name of a column, {"column": "...", "format": "uuid"}, or a list of 2 to ${MOST_PARTS} of these`;
const keyList = z.array(keyColumn).min(2, KEY_COLUMNS).max(MOST_PARTS, KEY_COLUMNS).readonly();
const keyColumns = z.union([identifier, uuidColumn, keyList], { error: KEY_COLUMNS });
const constant = z.union([z.string(), z.number(), z.null()], {
  error: 'must be a string, a number that JavaScript can hold, or null; write other values as strings',
});

const fields = {
  table: z.string().min(1).max(129).describe('Table of the user, optionally as "schema.table"'),
  column: identifier.describe('Integer column, or DECIMAL(n,0), that holds the value'),
  missing: z
    .enum(['insert', 'quarantine'])
    .default('quarantine')
    .describe('What to do with a key that has no row'),
  insert: z
    .record(identifier, constant)
    .optional()
    .describe('Constants for other columns of rows that are inserted; needs "missing": "insert"'),
};
const description = 'A column of your own table that holds the value, in place of the table of Sluice';

const counterFields = z.strictObject({
  table: fields.table,
  key: keyColumns.describe('Column that holds the counter key, or a list of columns if its keys are lists'),
  column: fields.column,
  missing: fields.missing,
  insert: fields.insert,
});

/** A mapping into the user's own table. */
export type Target = z.output<typeof counterFields>;

/** Where the values of a counter are. */
export const counterTarget = counterFields.superRefine(checkTogether).describe(description);

/** Where the balances of a program are. Its accounts are texts, so the key is one column. */
export const programTarget = z
  .strictObject({
    table: fields.table,
    key: z
      .union([identifier, uuidColumn], {
        error:
          'must be the name of a column, or {"column": "...", "format": "uuid"}; the key of an account is one column',
      })
      .describe('Column that holds the account'),
    column: fields.column,
    missing: fields.missing,
    insert: fields.insert,
  })
  .superRefine(checkTogether)
  .describe(description);

export const TARGET_FIELDS = Object.keys(counterFields.shape);

/** A key column as the definitions name it. */
export interface NamedKeyColumn {
  readonly column: string;
  readonly format?: 'uuid' | undefined;
}

/** The key columns, in the order of a key's parts. */
export function keyColumnsOf({ key }: Pick<Target, 'key'>): NamedKeyColumn[] {
  const columns = typeof key === 'object' && !('column' in key) ? key : [key];
  return columns.map(one => (typeof one === 'string' ? { column: one } : one));
}

/** Whether keys are lists, one part for each of several columns. */
export function hasListKeys({ key }: Pick<Target, 'key'>): boolean {
  return Array.isArray(key);
}

/** `products (id, views)`, for messages. */
export function shownTarget(target: Target): string {
  const columns = [...keyColumnsOf(target).map(({ column }) => column), target.column];
  return `${target.table} (${columns.join(', ')})`;
}

function checkTogether(target: Target, context: z.RefinementCtx): void {
  const refuse = (path: 'key' | 'insert' | undefined, message: string) =>
    context.addIssue({ code: 'custom', path: path ? [path] : [], message });
  const lower = (name: string) => name.toLowerCase();
  const keys = keyColumnsOf(target).map(({ column }) => lower(column));
  if (new Set(keys).size < keys.length) refuse('key', 'names a column twice; name each once');
  if (target.insert && target.missing !== 'insert')
    refuse('insert', 'is only for rows that are inserted; add "missing": "insert", or remove it');
  const constants = Object.keys(target.insert ?? {});
  if (new Set(constants.map(lower)).size < constants.length)
    refuse('insert', 'names a column twice; name each once');
  for (const name of constants)
    if ([...keys, lower(target.column)].includes(lower(name)))
      refuse('insert', `gives a constant for ${name}, which holds the key or the value; remove it`);
  if (Buffer.byteLength(JSON.stringify(target)) > LONGEST_TARGET)
    refuse(undefined, `is longer than ${LONGEST_TARGET} bytes as JSON; shorten its names or constants`);
}
