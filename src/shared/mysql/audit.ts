/** Reads the audit record of an operation back, so that nothing is reported that a server or proxy undid. */
import { AnswerMissingError } from '../errors.ts';
import type { Database } from './database.ts';

/** Must be called after the commit. @throws AnswerMissingError */
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
