/** What the users task runs: node, with the script itself as an argument, since Sluice's image does not hold it. */
import { readFileSync } from 'node:fs';

export const USERS_ENTRY_POINT = ['node', '--input-type=module', '--eval'];
export const USERS_SCRIPT = readFileSync(new URL('./make-users.mjs', import.meta.url), 'utf8');
