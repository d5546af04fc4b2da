/** A mapped table that changes under load: its own updates wait, everything else is written. */
import { setTimeout as delay } from 'node:timers/promises';
import type { RowDataPacket } from 'mysql2/promise';
import { waitFor } from '../../servers.ts';
import { HUNG_MS } from '../hung.ts';
import type { Stack } from '../stack.ts';
import { mappedTables } from '../traffic.ts';
import { type Fault, now, oneOf } from './fault.ts';

/** At least. */
const renamedMs = 10_000;

/** Number of rows held for a table that cannot be written. */
async function held({ root }: Stack): Promise<number> {
  const [[row]] = await root.query<RowDataPacket[]>(
    "SELECT COUNT(*) AS held FROM sluice_quarantine WHERE cause = 'held'",
  );
  return Number(row!.held);
}

/** The probe counts in a table of Sluice, so flushing must go on while the column is renamed. */
export const columnRenamed: Fault = {
  kind: 'columnRenamed',
  weight: 1,
  async run({ stack, random, operator }) {
    const [name, { table, column }] = oneOf(random, Object.entries(mappedTables));
    // Credits of transfers to such accounts wait in their rows, perhaps after they were spent.
    operator.decisions.refused.add(name);
    const rename = (from: string, to: string) =>
      stack.root.query(`ALTER TABLE ${table} RENAME COLUMN ${from} TO ${to}`);
    await rename(column, 'renamed');
    const since = now();
    const meanwhile = delay(renamedMs).then(async () => {
      await waitFor(`an update held for ${table}`, HUNG_MS, async () => (await held(stack)) > 0).finally(() =>
        rename('renamed', column),
      );
      await waitFor(`release of the updates of ${table}`, HUNG_MS, async () => (await held(stack)) === 0);
    });
    return { what: `${table}.${column} renamed for ${renamedMs} ms`, since, meanwhile };
  },
};
