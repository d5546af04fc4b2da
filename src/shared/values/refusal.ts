/** Reasons why Sluice itself refuses an update that the database would take, or has no row for. */

/** Codes in `sluice_quarantine.error_code`, in addition to the database's own. */
export const REFUSAL_CODES = [
  /** The value would leave plus or minus 2^53-1, or a mapped column is out of it already. */
  'OUT_OF_RANGE',
  /** The mapped table has no row for the key, and the mapping says `"missing": "quarantine"`. */
  'TARGET_ROW_MISSING',
  /** The mapped key column would not return the key unchanged: "09" for an integer, or too long. */
  'TARGET_KEY_NOT_CANONICAL',
  /** The ledger already has the id of an edited entry. */
  'ID_IN_LEDGER',
] as const;
export type RefusalCode = (typeof REFUSAL_CODES)[number];

/** An update that MySQL might accept but Sluice must not write. */
export class RefusedValueError extends Error {
  readonly code: RefusalCode;
  constructor(code: RefusalCode) {
    super(code);
    this.code = code;
  }
}
