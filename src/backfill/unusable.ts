/** Rows that no update can stand for: how many, why, and the first ones. */
import { BackfillError } from './errors.ts';
import type { SourceRow } from './pages.ts';
import { type Spec, shownSpec } from './spec.ts';

export type UnusableCode = 'NOT_WHOLE' | 'OUT_OF_RANGE' | 'INVALID_KEY' | 'UNNAMED_KEY';

const WHY: Readonly<Record<UnusableCode, string>> = {
  NOT_WHOLE: 'the value is not a whole number, or no time of whole milliseconds',
  OUT_OF_RANGE: 'the value is not from -(2^53-1) to 2^53-1',
  INVALID_KEY: 'the key is empty, too long or not UTF-8',
  UNNAMED_KEY: 'the key is NULL, or a date that is no day',
};
const SHOWN = 10;

export class Unusable {
  readonly counts: Partial<Record<UnusableCode, number>> = {};
  readonly #shown: string[] = [];

  get rows(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0);
  }

  note({ key, value }: Pick<SourceRow, 'key' | 'value'>, code: UnusableCode): void {
    this.noteMany(1, code);
    const text = key.map(part => JSON.stringify(part.length > 80 ? `${part.slice(0, 80)}...` : part));
    if (this.#shown.length < SHOWN) this.#shown.push(`${text.join(', ')} with ${value} (${WHY[code]})`);
  }

  noteMany(rows: number, code: UnusableCode): void {
    if (rows > 0) this.counts[code] = (this.counts[code] ?? 0) + rows;
  }

  /** The first ones, for people. */
  get shown(): readonly string[] {
    return this.#shown;
  }

  error(spec: Spec): BackfillError {
    const counts = Object.entries(this.counts).map(([code, rows]) => `${rows} ${code}`);
    const first = this.#shown.length > 0 ? `; the first: ${this.#shown.join('; ')}` : '';
    return new BackfillError(
      'BACKFILL_UNUSABLE_ROWS',
      `The backfill of ${shownSpec(spec)} cannot copy ${this.rows} rows: ${counts.join(', ')}${first}. Nothing of this page was copied. Correct these rows, leave them out by --where, or give --skip-unusable to pass over them.`,
    );
  }
}
