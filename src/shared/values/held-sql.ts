/** SQL of the points that are held. */
import type { Kind } from '../item.ts';

/** What the account of row `j` holds; 0 for other kinds. */
export function heldSql(kind: Kind): string {
  if (kind !== 'p') return '0';
  return `COALESCE((SELECT SUM(h.amount) FROM sluice_holds h WHERE h.program = j.name AND h.account = j.item_key AND h.status = 'open'), 0)`;
}
