/** Which opening a row becomes, or why it becomes none. */
import type { Definitions } from '../shared/config/definitions.ts';
import { SluiceError } from '../shared/errors.ts';
import { isValueKind } from '../shared/item.ts';
import { checkOpening, type OpeningUpdate } from '../shared/updates/update.ts';
import type { SourceRow } from './pages.ts';
import type { RecordedOpening } from './runs.ts';
import type { Spec } from './spec.ts';

export type Opening = OpeningUpdate;

export type RowUse =
  | { readonly opening: RecordedOpening }
  /** NULL counts nothing, and 0 neither, except as a value. */
  | { readonly empty: true }
  /** Why no update can stand for it. */
  | { readonly unusable: 'NOT_WHOLE' | 'OUT_OF_RANGE' | 'INVALID_KEY' };

/** Digits, and zeros of a DECIMAL. */
const WHOLE = /^(-?\d+)(?:\.0*)?$/;

/** @throws UnknownNameError */
export function useOf(row: SourceRow, run: string, spec: Spec, definitions: Definitions): RowUse {
  if (row.value === null) return { empty: true };
  const digits = WHOLE.exec(row.value)?.[1];
  if (digits === undefined) return { unusable: 'NOT_WHOLE' };
  const amount = Number(digits);
  if (!Number.isSafeInteger(amount)) return { unusable: 'OUT_OF_RANGE' };
  if (amount === 0 && !isValueKind(spec.kind)) return { empty: true };
  if (row.isBroken) return { unusable: 'INVALID_KEY' };
  try {
    checkOpening(openingOf([row.key, amount], run, spec), definitions);
    return { opening: [row.key, amount] };
  } catch (error) {
    if (error instanceof SluiceError && /^INVALID_(?:KEY|ACCOUNT)$/.test(error.code))
      return { unusable: 'INVALID_KEY' };
    throw error;
  }
}

/** The update of an opening. */
export function openingOf([key, amount]: RecordedOpening, run: string, { kind, to }: Spec): Opening {
  if (kind === 'p') return { points: to, account: key[0]!, amount, id: run, reason: `backfill ${run}` };
  const one = key.length === 1 ? key[0]! : key;
  if (isValueKind(kind)) return { value: to, key: one, is: amount, id: run };
  return { counter: to, key: one, by: amount, id: run };
}
