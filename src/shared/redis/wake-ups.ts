/**
 * Delayed wake-ups, timed by the process itself on a monotonic clock. BullMQ's delayed jobs
 * compare wall clocks of several machines: one that is an hour ahead would put a partition to sleep for an
 * hour, since later wake-ups are dropped as duplicates.
 *
 * If a process dies, its wake-ups are lost, and the sweep finds the partitions.
 */
import type { Logger } from 'pino';
import { type FlushQueue, type WakeUp, wake, wakeUpId } from './queue.ts';

interface Waiting {
  readonly wakeUp: WakeUp;
  /** performance.now() */
  readonly due: number;
  readonly timer: NodeJS.Timeout;
}

export class WakeUps {
  readonly #queue: FlushQueue;
  readonly #log: Logger;
  readonly #waiting = new Map<string, Waiting>();
  readonly #given = new Set<Promise<void>>();

  constructor(queue: FlushQueue, log: Logger) {
    this.#queue = queue;
    this.#log = log;
  }

  /**
   * Wakes a worker after `ms`. If a wake-up of the same group or partition is scheduled already, the earlier
   * one counts.
   */
  after(wakeUp: WakeUp, ms: number): void {
    const id = wakeUpId(wakeUp);
    const due = performance.now() + ms;
    const waiting = this.#waiting.get(id);
    if (waiting && waiting.due <= due) return;
    clearTimeout(waiting?.timer);
    this.#waiting.set(id, { wakeUp, due, timer: setTimeout(() => this.#give(wakeUp), ms) });
  }

  /** Sends the scheduled wake-ups at once. Resolves when all are sent or have failed. */
  async close(): Promise<void> {
    for (const { wakeUp, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      this.#give(wakeUp);
    }
    await Promise.all(this.#given);
  }

  #give(wakeUp: WakeUp): void {
    this.#waiting.delete(wakeUpId(wakeUp));
    const given = wake(this.#queue, wakeUp)
      .catch(error => {
        this.#log.debug({ ...wakeUp, err: error }, 'wake-up failed; the sweep will find the partition');
      })
      .finally(() => this.#given.delete(given));
    this.#given.add(given);
  }
}
