/** `credited()`: waits until the credits of transfers are in the ledger. All waiters share one poll. */
import { pause } from '../shared/clock.ts';
import { CreditTimeoutError, ProducerClosedError, TransferReturnedError } from '../shared/errors.ts';
import { type Database, queryRows, readSql } from '../shared/mysql/database.ts';
import { jsonParts } from '../shared/mysql/statement-size.ts';
import type { CheckedUpdate } from '../shared/updates/update.ts';

const CREDITED = readSql(new URL('./sql/credited.sql', import.meta.url));
const POLL_MS = 50;

interface Waiter {
  readonly update: CheckedUpdate;
  readonly finish: (error?: Error) => void;
}

export class CreditWatch {
  readonly #database: Database;
  readonly #waiters = new Set<Waiter>();
  readonly #closed = new AbortController();
  #isPolling = false;

  constructor(database: Database) {
    this.#database = database;
  }

  /** @throws CreditTimeoutError, TransferReturnedError, ProducerClosedError */
  credited(update: CheckedUpdate, timeoutMs: number): Promise<void> {
    if (this.#closed.signal.aborted) return Promise.reject(new ProducerClosedError());
    return new Promise((resolve, reject) => {
      const late = () => waiter.finish(new CreditTimeoutError(timeoutMs));
      // Node fires a timer at once if its delay does not fit 31 bits.
      const timer = setTimeout(late, Math.min(Math.max(timeoutMs, 0), 2 ** 31 - 1));
      const waiter: Waiter = {
        update,
        finish: error => {
          clearTimeout(timer);
          this.#waiters.delete(waiter);
          if (error) reject(error);
          else resolve();
        },
      };
      this.#waiters.add(waiter);
      if (!this.#isPolling) void this.#poll();
    });
  }

  close(): void {
    this.#closed.abort();
    for (const waiter of this.#waiters) waiter.finish(new ProducerClosedError());
  }

  async #poll(): Promise<void> {
    this.#isPolling = true;
    while (this.#waiters.size > 0) {
      // An outage ends before the timeout, or the waiters do.
      await this.#look([...this.#waiters]).catch(() => {});
      if (this.#waiters.size > 0) await pause(POLL_MS, this.#closed.signal);
    }
    this.#isPolling = false;
  }

  async #look(waiters: readonly Waiter[]): Promise<void> {
    const credited = await this.#database.session(async connection => {
      const found = new Map<string, string>();
      const idOf = ({ update: { name, key, id } }: Waiter) => [name, key, id];
      for (const { json } of jsonParts(connection, waiters, idOf))
        for (const row of await queryRows(connection, CREDITED, [json]))
          found.set(
            nameOf(String(row.program), String(row.account), String(row.entry_id)),
            String(row.credited),
          );
      return found;
    });
    for (const { update, finish } of waiters) {
      const account = credited.get(nameOf(update.name, update.key, update.id));
      if (account !== undefined)
        finish(account === update.to ? undefined : new TransferReturnedError(update.name));
    }
  }
}

function nameOf(program: string, account: string, id: string): string {
  return JSON.stringify([program, account, id]);
}
