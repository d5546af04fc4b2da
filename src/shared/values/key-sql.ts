/**
 * SQL for the key columns of a mapped table: one, or several for composite keys. Rows travel as JSON with
 * the key's text second, and a composite key's parts in a list third. A text that is no list of the right
 * length has no parts, so it finds no row.
 */
import { joinKey, splitKey } from '../composite-key.ts';
import { LIMITS } from '../limits.ts';
import { quoteIdentifier } from '../mysql/database.ts';
import type { KeyLiteral } from '../mysql/statement-size.ts';
import type { CheckedKey } from './target-check.ts';

/** A key of a row, as its columns showed it. */
export type ShownKey = readonly Buffer[];

/**
 * The end of a row in JSON: the key, and its parts if keys are lists.
 * @param parts how many; undefined if keys are texts
 */
export function keyJson(key: string, parts: number | undefined): unknown[] {
  if (parts === undefined) return [key];
  const split = splitKey(key);
  return [key, split?.length === parts ? split : []];
}

/** Key columns with their SQL: `parts` replaces the names in braces of the statements. */
export class KeySql {
  readonly parts: Readonly<Record<string, string>>;
  readonly #key: CheckedKey;

  constructor(key: CheckedKey) {
    this.#key = key;
    const columns = key.columns.map(({ name, type }, at) => {
      const quoted = `t.${quoteIdentifier(name)}`;
      const text = key.isList ? `j.text${at}` : 'j.item_key';
      return { at, name, type, quoted, text, typed: `j.key${at}` };
    });
    const path = (at: number) => (key.isList ? `'$[2][${at}]'` : "'$[1]'");
    const typed = columns.map(({ at, type }) => `key${at} ${type.sql} PATH ${path(at)}`);
    const texts = columns.map(({ at }) => `text${at} VARBINARY(${LIMITS.key}) PATH ${path(at)}`);
    const changed = columns.filter(({ type }) => type.holdsAll);
    const equal = columns.map(({ type, quoted, typed }) => `${quoted} = ${type.valueOf(typed)}`);
    const same = columns.map(({ type, quoted, text }) => `${type.textOf(quoted)} = ${text}`);
    const inOrder = key.order.map(at => columns[at]!);
    this.parts = {
      keyColumns: columns.map(({ name }) => quoteIdentifier(name)).join(', '),
      keys: columns.map(({ quoted }) => quoted).join(', '),
      keyTexts: columns.map(({ at, type, quoted }) => `${type.textOf(quoted)} AS text${at}`).join(', '),
      keyValues: columns.map(({ type, typed }) => type.valueOf(typed)).join(', '),
      typedKeys: typed.join(', '),
      typedKeysAndTexts: [...typed, ...(key.isList ? texts : [])].join(', '),
      equalKeys: equal.join(' AND '),
      sameKeys: [...equal, ...same].join(' AND '),
      changedKeys:
        changed.map(({ text, typed }) => `NOT CAST(${typed} AS BINARY) <=> ${text}`).join(' OR ') || 'FALSE',
      namedKeys: columns.map(({ type, quoted }) => type.isNamed(quoted)).join(' AND '),
      // Not (a, b) > (?, ?), which MySQL answers by reading the index from its beginning.
      laterKeys: inOrder
        .map((_, last) =>
          inOrder
            .slice(0, last + 1)
            .map(({ quoted }, at) => `${quoted} ${at === last ? '>' : '='} ?`)
            .join(' AND '),
        )
        .join(' OR '),
      orderedKeys: inOrder.map(({ quoted }) => quoted).join(', '),
    };
  }

  /** Whether a row can have exactly this key. */
  fits(key: string): boolean {
    const { columns, isList } = this.#key;
    if (!isList) return columns[0]!.type.fits(key);
    const parts = splitKey(key);
    return parts?.length === columns.length && parts.every((part, at) => columns[at]!.type.fits(part));
  }

  /** A fitting key as a value of `(keys) IN (?)`. */
  literals(key: string): KeyLiteral[] {
    const { columns, isList } = this.#key;
    return (isList ? splitKey(key)! : [key]).map((part, at) => columns[at]!.type.literal(part));
  }

  /** `keyJson` of a key. */
  json(key: string): unknown[] {
    return keyJson(key, this.#key.isList ? this.#key.columns.length : undefined);
  }

  /** The same for a fitting key that is looked up by its parts only. */
  jsonOfParts(key: string): unknown[] {
    return this.#key.isList ? [null, splitKey(key)] : [key];
  }

  /** What `keyTexts` selected. */
  shown(row: Readonly<Record<string, unknown>>): ShownKey {
    return this.#key.columns.map((_, at) => row[`text${at}`] as Buffer);
  }

  keyOf(shown: ShownKey): string {
    return this.#key.isList ? joinKey(shown.map(String)) : String(shown[0]);
  }

  /** Parameters of `laterKeys`, for the rows after this one, or for all. */
  laterThan(shown: ShownKey | undefined): (KeyLiteral | null)[] {
    const { columns, order } = this.#key;
    const values = order.map(at => (shown ? columns[at]!.type.cursor(shown[at]!) : null));
    return values.flatMap((_, last) => values.slice(0, last + 1));
  }
}
