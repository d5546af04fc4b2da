/** The torture's operator: retries or returns transfers that are aside, and remembers the returns. */

import { setTimeout as delay } from 'node:timers/promises';
import { changeTransfers, inPages, RETRY, returning } from '../../src/replay/transfer-changes.ts';
import { listTransfers, type TransitTransfer } from '../../src/replay/transfers.ts';
import { parseSettings } from '../../src/shared/config/settings.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { Keys } from '../../src/shared/redis/keys.ts';
import type { Random } from '../load/zipf.ts';
import { HUNG_MS } from './hung.ts';
import type { Stack } from './stack.ts';
import { partitions } from './traffic.ts';
import { noDecisions } from './transfers.ts';

const retryAfter = 200;
const atOnce = 2000;

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
    const limit = performance.now() + HUNG_MS;
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
    const { transfers } = await listTransfers(this.#database, { state: 'aside' }, atOnce);
    for (const { program, to } of transfers) this.decisions.refused.add(`${program} ${to}`);
    const retried = new Set(transfers.filter(({ from, to }) => to === from || random() < 0.5));
    for await (const page of inPages(retried)) await changeTransfers(this.#database, page, RETRY);
    for await (const page of inPages(transfers.filter(one => !retried.has(one)))) await this.#return(page);
    return transfers.length === 0;
  }

  async #return(page: readonly TransitTransfer[]): Promise<void> {
    const { returns } = this.decisions;
    for (const { transfer, from } of page) {
      const returned = returns.get(transfer) ?? { possible: new Set(), last: undefined };
      returns.set(transfer, returned);
      returned.possible.add(from);
    }
    for (const { row, outcome } of await changeTransfers(this.#database, page, returning(this.#keys))) {
      if (outcome !== 'returned') continue;
      const returned = returns.get(row.transfer)!;
      returned.possible.delete(row.from);
      returned.last = row.from;
    }
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}
