/** A ledger that refuses the credits of some accounts: their transfers go aside, and an operator decides. */
import { setTimeout as delay } from 'node:timers/promises';
import { waitFor } from '../../servers.ts';
import { HUNG_MS } from '../hung.ts';
import type { Stack } from '../stack.ts';
import { between, type Fault, now } from './fault.ts';

const create = `CREATE TRIGGER IF NOT EXISTS refuse_credits BEFORE INSERT ON sluice_entries FOR EACH ROW
  IF NEW.transfer IS NOT NULL AND NEW.amount > 0 AND CRC32(NEW.account) MOD 4 = 0
  THEN SIGNAL SQLSTATE '45000'; END IF`;
const drop = 'DROP TRIGGER IF EXISTS refuse_credits';

/** A statement that waits for the ledger's transactions may take longer than a query may. */
function changeLedger({ root }: Stack, statement: string): Promise<void> {
  return waitFor(statement.slice(0, 40), HUNG_MS, async () => {
    await root.query(statement);
    return true;
  });
}

/** Everything else must be flushed meanwhile, the debits of these transfers too. */
export const creditsRefused: Fault = {
  kind: 'creditsRefused',
  weight: 1,
  async run({ stack, random, operator }) {
    await changeLedger(stack, create);
    const since = now();
    const heldMs = between(random, 1000, 4000);
    const meanwhile = delay(heldMs).then(async () => {
      try {
        await waitFor('a transfer aside', HUNG_MS, async () => (await operator.aside()) > 0);
        // Half of the time the operator is too early, and what is retried goes aside again.
        if (random() < 0.5) await operator.decideOnce(random).catch(() => {});
      } finally {
        await changeLedger(stack, drop);
      }
      await operator.decide(random);
    });
    return { what: `credits of some accounts refused for ${heldMs} ms`, since, meanwhile };
  },
};
