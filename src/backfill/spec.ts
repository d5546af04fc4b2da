/** What a run copies from where to where. It is recorded with the run, and never changes. */
import { type Definitions, definedNames, definitionOf } from '../shared/config/definitions.ts';
import { hasListKeys, keyColumnsOf } from '../shared/config/target.ts';
import { ConfigurationError, UnknownNameError } from '../shared/errors.ts';
import { type Kind, ownerOf } from '../shared/item.ts';

export interface Spec {
  /** As `table` or `schema.table`. */
  readonly table: string;
  /** Columns of a unique key; the key of an update has a part for each, in this order. */
  readonly key: readonly string[];
  readonly value: string;
  readonly kind: Kind;
  /** Counter, program or value. */
  readonly to: string;
  /** SQL condition; null for all rows. */
  readonly where: string | null;
  /** Column that says where a row's value is; null if nobody changes values meanwhile. */
  readonly mark: string | null;
}

/** The options that name a run and its spec. */
export interface SpecOptions {
  readonly table: string;
  readonly key: string;
  readonly value: string;
  readonly to: string;
  readonly where?: string | undefined;
  readonly mark?: string | undefined;
  /** The program, if a counter has the same name. */
  readonly points?: boolean | undefined;
}

/** @throws ConfigurationError */
export function checkRun(run: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(run))
    throw new ConfigurationError(
      'The name of a backfill has 1 to 64 letters, digits, dots, dashes and underscores, and begins with a letter or digit.',
    );
  return run;
}

/** @throws ConfigurationError, UnknownNameError */
export function specOf(options: SpecOptions, definitions: Definitions): Spec {
  const { table, value, to, where, mark, points } = options;
  const names = definedNames(definitions);
  const kind = names.find(one => one.name === to && (!points || one.kind === 'p'))?.kind;
  if (kind === undefined)
    throw new UnknownNameError(
      'counter',
      to,
      names.map(({ name }) => name),
    );
  const key = options.key.split(',').map(column => column.trim());
  for (const [flag, text] of Object.entries({ table, value, where, mark, key: key.includes('') ? '' : 'x' }))
    if (text === '') throw new ConfigurationError(`--${flag} must not be empty.`);
  checkParts(key, kind, to, definitions);
  return { table, key, value, kind, to, where: where ?? null, mark: mark ?? null };
}

/** @throws ConfigurationError unless the destination takes keys of so many parts */
function checkParts(key: readonly string[], kind: Kind, to: string, definitions: Definitions): void {
  const target = definitionOf(kind, to, definitions)?.target;
  const wanted = target && hasListKeys(target) ? keyColumnsOf(target).length : 1;
  if (key.length === wanted) return;
  const owner = `The ${ownerOf(kind, to)}`;
  throw new ConfigurationError(
    wanted === 1
      ? `${owner} has keys of one part, but --key names ${key.length} columns; name one. Only a counter or value whose target has a list of key columns takes several.`
      : `${owner} has keys of ${wanted} parts; name as many columns with --key, in the order of its target.`,
  );
}

/**
 * Whether two specs would count the same values twice.
 * @param schema of tables without one in their name
 */
export function overlaps(a: Spec, b: Spec, schema: string): boolean {
  return a.kind === b.kind && a.to === b.to && isSameTable(a, b, schema) && isSame(a.value, b.value);
}

/** Whether two specs mark the same rows in the same column. */
export function sharesMark(a: Spec, b: Spec, schema: string): boolean {
  return a.mark !== null && b.mark !== null && isSameTable(a, b, schema) && isSame(a.mark, b.mark);
}

function isSameTable(a: Spec, b: Spec, schema: string): boolean {
  const nameOf = ({ table }: Spec) => (table.includes('.') ? table : `${schema}.${table}`);
  return isSame(nameOf(a), nameOf(b));
}

/** Names that differ only in case may be the same. */
function isSame(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** `users.points to program "loyalty"`, for messages. */
export function shownSpec({ table, value, kind, to }: Pick<Spec, 'table' | 'value' | 'kind' | 'to'>): string {
  return `${table}.${value} to ${ownerOf(kind, to)}`;
}
