/** Looks now and then how full each primary is, since asking in every call would cost more than the call. */
import type { Redis } from 'ioredis';
import { pause } from '../shared/clock.ts';
import type { Primaries } from '../shared/primaries.ts';
import { Question } from '../shared/question.ts';
import { infoField } from '../shared/redis-check.ts';

const EVERY_MS = 1000;

export class MemoryWatch {
  readonly #primaries: Primaries;
  readonly #limitPercent: number;
  readonly #stop = new AbortController();
  readonly #memory = new WeakMap<Redis, Question<string>>();
  #over = new Set<string>();

  /** @param limitPercent share of maxmemory; 100 for no limit */
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

  /** Whether the partition's primary is over the limit, as far as the last look told. */
  async isOver(partition: number): Promise<boolean> {
    return this.#over.size > 0 && this.#over.has(await this.#primaries.serverOf(partition));
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const looks = [...this.#primaries.all()].map(async ([server, node]) =>
        (await this.#isFull(node)) ? server : undefined,
      );
      this.#over = new Set((await Promise.all(looks)).filter(server => server !== undefined));
      await pause(EVERY_MS, this.#stop.signal);
    }
  }

  async #isFull(node: Redis): Promise<boolean> {
    if (node.status !== 'ready') return false;
    const memory = this.#memory.get(node) ?? new Question(() => node.info('memory'));
    this.#memory.set(node, memory);
    const info = await memory.answer(EVERY_MS);
    if (!info) return false;
    const most = Number(infoField(info, 'maxmemory'));
    return most > 0 && Number(infoField(info, 'used_memory')) * 100 > most * this.#limitPercent;
  }
}
