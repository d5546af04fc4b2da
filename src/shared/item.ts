/** A counter's key, an account or a value's key: its kind, and their names in Redis, in MySQL and for people. */

/** Kinds of values that are kept instead of summed: the greatest put, the least, or the last. */
export type ValueKind = '>' | '<' | '=';
/**
 * `c` is a counter (item `name:key`), `p` is points (item `program:account`), the others are values (item
 * `name:key`).
 */
export type Kind = 'c' | 'p' | ValueKind;
/** The kinds whose updates are pending by key, as one sum or one value. */
export type KeyedKind = Exclude<Kind, 'p'>;

/** Which put of a value is kept, as definitions and the tables of Sluice write it. */
export const KEEPS = { max: '>', min: '<', last: '=' } as const satisfies Record<string, ValueKind>;
export type Keep = keyof typeof KEEPS;

/** A kind in the tables of Sluice. */
export const ROW_KINDS = {
  c: 'counter',
  p: 'entry',
  '>': 'max',
  '<': 'min',
  '=': 'last',
} as const satisfies Record<Kind, string>;
export type RowKind = (typeof ROW_KINDS)[Kind];
/** A kind in logs, reports and labels. */
export const SHOWN_KINDS = {
  c: 'counter',
  p: 'points',
  '>': 'value',
  '<': 'value',
  '=': 'value',
} as const satisfies Record<Kind, string>;
export type ShownKind = (typeof SHOWN_KINDS)[Kind];

/** What has such a kind, in messages and for keys of the HTTP API. */
export const OWNERS = {
  c: 'counter',
  p: 'program',
  '>': 'value',
  '<': 'value',
  '=': 'value',
} as const satisfies Record<Kind, string>;

/** `counter "views"`, for messages. */
export function ownerOf(kind: Kind, name: string): string {
  return `${OWNERS[kind]} ${JSON.stringify(name)}`;
}

const KINDS = Object.fromEntries(Object.entries(ROW_KINDS).map(([kind, row]) => [row, kind])) as {
  readonly [Row in RowKind]: { [K in Kind]: (typeof ROW_KINDS)[K] extends Row ? K : never }[Kind];
};

/** The kind of a row in the tables of Sluice. */
export function kindOfRow<Row extends RowKind>(row: Row): (typeof KINDS)[Row] {
  return KINDS[row];
}

export function isValueKind(kind: Kind): kind is ValueKind {
  return kind === '>' || kind === '<' || kind === '=';
}

/** `name:key`; unambiguous because names hold no colon. */
export function itemOf(name: string, key: string): string {
  return `${name}:${key}`;
}

export function splitItem(item: string): { name: string; key: string } {
  const colon = item.indexOf(':');
  return { name: item.slice(0, colon), key: item.slice(colon + 1) };
}

/** An id with its item, as id-name.lua writes it after a kind. */
export function idText(item: string, id: string): string {
  return `${Buffer.byteLength(item)}:${item}${id}`;
}
