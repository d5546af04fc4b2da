/**
 * Wake-ups of partitions after a while, which the process that gives them measures by itself, on a clock that never goes
 * back. BullMQ's delayed jobs compare the wall clocks of several machines instead: one that is an hour ahead would put a
 * partition to sleep for an hour, since everybody else's wake-ups are dropped as duplicates.
 *
 * A process that dies takes its wake-ups along; the sweep finds their partitions.
 */
import type { Logger } from 'pino';
import { type FlushQueue, wake } from './queue.ts';

interface Waiting {
  /** performance.now() */
  readonly due: number;
  readonly timer: NodeJS.Timeout;
}

export class WakeUps {
  readonly #queue: FlushQueue;
  readonly #log: Logger;
  readonly #waiting = new Map<number, Waiting>();
  readonly #given = new Set<Promise<void>>();

  constructor(queue: FlushQueue, log: Logger) {
    this.#queue = queue;
    this.#log = log;
  }

  /** Wakes a worker for the partition after `ms`. Of several for one partition, the earliest counts. */
  after(partition: number, ms: number): void {
    const due = performance.now() + ms;
    const waiting = this.#waiting.get(partition);
    if (waiting && waiting.due <= due) return;
    clearTimeout(waiting?.timer);
    this.#waiting.set(partition, { due, timer: setTimeout(() => this.#give(partition), ms) });
  }

  /** Gives those that wait at once. Resolves when each was given or has failed. */
  async close(): Promise<void> {
    for (const [partition, { timer }] of this.#waiting) {
      clearTimeout(timer);
      this.#give(partition);
    }
    await Promise.all(this.#given);
  }

  #give(partition: number): void {
    this.#waiting.delete(partition);
    const given = wake(this.#queue, partition)
      .catch(error => {
        this.#log.debug({ partition, err: error }, 'wake-up failed; the sweep will find the partition');
      })
      .finally(() => this.#given.delete(given));
    this.#given.add(given);
  }
}
