/**
 * Checks that the texts of a batch fit their columns. A newer Sluice may accept longer texts, and JSON_TABLE
 * reports no error: MySQL makes a text null that is too long, MariaDB truncates it and would add to another
 * key.
 */
import { TextTooLongError } from '../shared/errors.ts';
import { isLonger, LIMITS } from '../shared/limits.ts';
import type { EntryContent } from '../shared/updates/record.ts';
import type { Batch } from './batch.ts';

/** @throws TextTooLongError */
export function checkLengths({ counters, entries }: Batch): void {
  for (const { name, key } of counters) {
    check('name', name, name, LIMITS.name);
    check('key', name, key, LIMITS.key);
  }
  for (const entry of entries) checkEntry(entry);
}

/** @throws TextTooLongError */
export function checkEntry({ program, account, id, reason }: EntryContent): void {
  check('name', program, program, LIMITS.name);
  check('account', program, account, LIMITS.account);
  check('id', program, id, LIMITS.id);
  if (reason !== null) check('reason', program, reason, LIMITS.reason);
}

function check(what: string, name: string, text: string, limit: number): void {
  if (isLonger(text, limit)) throw new TextTooLongError(what, name, limit);
}
