/** The torture's operator: retries or returns transfers that are aside, and remembers the returns. */

import { setTimeout as delay } from 'node:timers/promises';
import { listTransfers, retryTransfer, returnTransfer } from '../../src/replay/transfers.ts';
import { parseSettings } from '../../src/shared/config/settings.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { Keys } from '../../src/shared/redis/keys.ts';
import type { Random } from '../load/zipf.ts';
import type { Stack } from './stack.ts';
import { partitions } from './traffic.ts';
import { noDecisions } from './transfers.ts';

const retryFor = 60_000;
const retryAfter = 200;

export class TransferOperator {
  readonly decisions = noDecisions();
  readonly #database: Database;
  readonly #keys: Keys;

  constructor({ direct }: Stack) {
    this.#database = new Database({ url: direct.mysqlUrl }, { ...parseSettings(), connections: 2 });
    this.#keys = new Keys(direct.namespace, partitions);
  }

  /** Number of transfers that are aside. */
  async aside(): Promise<number> {
    return (await listTransfers(this.#database, { state: 'aside' }, 1)).total;
  }

  /** Number of transfers whose credit is not in the ledger, aside or not. */
  async inTransit(): Promise<number> {
    return (await listTransfers(this.#database, {}, 1)).total;
  }

  /** Decides about every transfer that is aside. The database may be busy, or away for a while. */
  async decide(random: Random): Promise<void> {
    const limit = performance.now() + retryFor;
    for (;;) {
      try {
        if (await this.decideOnce(random)) return;
      } catch (error) {
        if (!(error as { retryable?: boolean }).retryable || performance.now() > limit) throw error;
        await delay(retryAfter);
      }
    }
  }

  /** Decides about those that are aside now. @returns whether there were none */
  async decideOnce(random: Random): Promise<boolean> {
    const { transfers } = await listTransfers(this.#database, { state: 'aside' });
    for (const { transfer, program, from, to } of transfers) {
      this.decisions.refused.add(`${program} ${to}`);
      if (to === from || random() < 0.5) await retryTransfer(this.#database, transfer);
      else await this.#return(transfer, from);
    }
    return transfers.length === 0;
  }

  async #return(transfer: string, account: string): Promise<void> {
    const { returns } = this.decisions;
    const returned = returns.get(transfer) ?? { possible: new Set(), last: undefined };
    returns.set(transfer, returned);
    returned.possible.add(account);
    const outcome = await returnTransfer(this.#database, this.#keys, transfer);
    if (outcome !== 'returned') return;
    returned.possible.delete(account);
    returned.last = account;
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}
