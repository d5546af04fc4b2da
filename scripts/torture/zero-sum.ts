/**
 * Looks all the time at what must hold in every snapshot of MySQL: in each program, the entries of transfers and
 * the transfers in transit add up to 0.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { RowDataPacket } from 'mysql2/promise';
import type { Root } from './cluster-root.ts';

const lookEvery = 1000;
// One statement reads one snapshot.
const sums = `SELECT program, SUM(amount) AS total
  FROM (SELECT program, amount FROM sluice_entries WHERE transfer IS NOT NULL
        UNION ALL SELECT program, amount FROM sluice_transfers) AS transfers
  GROUP BY program HAVING total <> 0`;

export class ZeroSum {
  readonly #root: Root;
  readonly #stopped = new AbortController();
  readonly #running: Promise<void>;
  readonly #onDifference: (problem: string) => void;

  /** @param onDifference called for each look that finds one */
  constructor(root: Root, onDifference: (problem: string) => void) {
    this.#root = root;
    this.#onDifference = onDifference;
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
    await this.look();
  }

  async look(): Promise<void> {
    const [rows] = await this.#root.query<RowDataPacket[]>(sums);
    for (const { program, total } of rows)
      this.#onDifference(`transfers of ${program} and what is in transit add up to ${total} instead of 0`);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      // The database may be away.
      await this.look().catch(() => {});
      await delay(lookEvery, undefined, { signal }).catch(() => {});
    }
  }
}
