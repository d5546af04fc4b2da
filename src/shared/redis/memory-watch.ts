/** Polls how full each primary is: to ask in each call would cost more than the call itself. */
import type { Redis } from 'ioredis';
import { pause } from '../clock.ts';
import { Question } from '../question.ts';
import { infoField } from './check.ts';
import type { Primaries } from './primaries.ts';

const EVERY_MS = 1000;

export class MemoryWatch {
  readonly #primaries: Primaries;
  readonly #limitPercent: number;
  readonly #stop = new AbortController();
  readonly #memory = new WeakMap<Redis, Question<string>>();
  #over = new Set<string>();

  /** @param limitPercent share of maxmemory; 100 is no limit */
  constructor(primaries: Primaries, limitPercent: number) {
    this.#primaries = primaries;
    this.#limitPercent = limitPercent;
  }

  start(): void {
    if (this.#limitPercent < 100) void this.#run();
  }

  stop(): void {
    this.#stop.abort();
  }

  /** Whether the partition's primary was over the limit at the last poll. */
  async isOver(partition: number): Promise<boolean> {
    return this.#over.size > 0 && this.#over.has(await this.#primaries.serverOf(partition));
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const polls = [...this.#primaries.all()].map(async ([server, node]) =>
        (await this.#isFull(node)) ? server : undefined,
      );
      this.#over = new Set((await Promise.all(polls)).filter(server => server !== undefined));
      await pause(EVERY_MS, this.#stop.signal);
    }
  }

  async #isFull(node: Redis): Promise<boolean> {
    if (node.status !== 'ready') return false;
    const memory = this.#memory.get(node) ?? new Question(() => node.info('memory'));
    this.#memory.set(node, memory);
    const info = await memory.answer(EVERY_MS);
    if (!info) return false;
    const maximum = Number(infoField(info, 'maxmemory'));
    return maximum > 0 && Number(infoField(info, 'used_memory')) * 100 > maximum * this.#limitPercent;
  }
}
