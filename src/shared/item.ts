/** A counter's key or an account, its kind, and their names in Redis, in MySQL and for people. */

/** `c` is a counter (item `name:key`), `p` is points (item `program:account`). */
export type Kind = 'c' | 'p';
/** A kind in the tables of Sluice. */
export const ROW_KINDS = { c: 'counter', p: 'entry' } as const satisfies Record<Kind, string>;
/** A kind in logs, reports and labels. */
export const SHOWN_KINDS = { c: 'counter', p: 'points' } as const satisfies Record<Kind, string>;

/** `name:key`; unambiguous because names hold no colon. */
export function itemOf(name: string, key: string): string {
  return `${name}:${key}`;
}

export function splitItem(item: string): { name: string; key: string } {
  const colon = item.indexOf(':');
  return { name: item.slice(0, colon), key: item.slice(colon + 1) };
}
