/**
 * Delayed wake-ups of partitions, timed by the process itself on a monotonic clock. BullMQ's delayed jobs
 * compare wall clocks of several machines: one that is an hour ahead would put a partition to sleep for an
 * hour, since later wake-ups are dropped as duplicates.
 *
 * If a process dies, its wake-ups are lost, and the sweep finds the partitions.
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

  /** Wakes a worker for the partition after `ms`. If one is scheduled already, the earlier one counts. */
  after(partition: number, ms: number): void {
    const due = performance.now() + ms;
    const waiting = this.#waiting.get(partition);
    if (waiting && waiting.due <= due) return;
    clearTimeout(waiting?.timer);
    this.#waiting.set(partition, { due, timer: setTimeout(() => this.#give(partition), ms) });
  }

  /** Sends the scheduled wake-ups at once. Resolves when all are sent or have failed. */
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
