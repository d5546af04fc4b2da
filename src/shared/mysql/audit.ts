/** What the audit records of all operations have in common. */
import { AnswerMissingError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { Database } from './database.ts';

/** An address as the record keeps it. A proxy's header may hold any text. */
export function recordedAddress(address: string | undefined): string | null {
  return address === undefined ? null : address.toWellFormed().slice(0, LIMITS.address).toWellFormed();
}

/**
 * Reads the record back, so that nothing is reported that a server or proxy undid. Must be called after the commit.
 * @throws AnswerMissingError
 */
export async function checkAudit(
  database: Database,
  operation: number,
  { finished }: { finished: boolean },
): Promise<void> {
  const [row] = await database.query('SELECT finished_at FROM sluice_operations WHERE id = ?', [operation]);
  if (!row || (finished && row.finished_at === null))
    throw new AnswerMissingError(
      `the audit record of operation ${operation}, which was ${finished ? 'finished' : 'started'}`,
    );
}
