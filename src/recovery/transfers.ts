/**
 * Checks the invariant of transfers: in every snapshot of MySQL, the entries of a transfer and its row add up
 * to 0. Each transfer is one debit, with either its credit or the row that is the right to it. Traffic may go
 * on. The walk goes by the key of the transfers, page by page, so that no statement reads the whole ledger.
 */
import { type Database, type Rows, readSql } from '../shared/mysql/database.ts';

/** A transfer that does not add up. */
export interface TransferDifference {
  readonly program: string;
  readonly transfer: string;
  /**
   * - `NO_DEBIT`: a credit, or the right to one, for which no account has paid
   * - `NO_CREDIT`: a debit whose points have gone nowhere
   * - `REPEATED`: more than one debit, or more than one credit or right to one
   * - `AMOUNTS_DIFFER`: one of each, and they do not add up to 0
   * - `PROGRAMS_DIFFER`: debit and credit belong to different programs
   */
  readonly problem: 'NO_DEBIT' | 'NO_CREDIT' | 'REPEATED' | 'AMOUNTS_DIFFER' | 'PROGRAMS_DIFFER';
  /** Points that the program has too many, or lacks if it is negative. */
  readonly sum: number;
}

const sql = (name: string) => readSql(new URL(`./sql/${name}.sql`, import.meta.url));
const LAST = sql('transfers-page');
const DIFFERENCES = sql('transfer-differences');
const PAGE = 1000;
/** Not below any transfer, whose column has 64 bytes. */
const ABOVE_ALL = Buffer.alloc(64, 0xff);

/**
 * The differences, in the order of the transfers.
 * @param pageSize most rows of a table in one page
 * @throws what mysql2 throws
 */
export async function* transferDifferences(
  database: Database,
  pageSize = PAGE,
): AsyncGenerator<TransferDifference> {
  for (let after: Buffer = Buffer.alloc(0); ; ) {
    const [page] = await database.query(LAST, [after, pageSize - 1, after, pageSize - 1]);
    const last = page!.last as Buffer | null;
    const end = last ?? ABOVE_ALL;
    for (const row of await database.query(DIFFERENCES, [after, end, after, end])) yield toDifference(row);
    if (last === null) return;
    after = last;
  }
}

function toDifference(row: Rows[number]): TransferDifference {
  return {
    program: String(row.program),
    transfer: String(row.transfer),
    problem: problemOf(row),
    sum: Number(row.total),
  };
}

function problemOf(row: Rows[number]): TransferDifference['problem'] {
  const debits = Number(row.debits);
  const credits = Number(row.credits) + Number(row.waiting);
  if (debits === 0) return 'NO_DEBIT';
  if (credits === 0) return 'NO_CREDIT';
  if (debits > 1 || credits > 1) return 'REPEATED';
  return String(row.program) === String(row.other_program) ? 'AMOUNTS_DIFFER' : 'PROGRAMS_DIFFER';
}
