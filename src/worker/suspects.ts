/**
 * Remembers keys and accounts that MySQL refused lately. It is a hint and decides nothing: every update is tried, but
 * suspects apart from the others, which are then written at once. Otherwise each batch would search for them anew,
 * and hold the lock of its partition meanwhile.
 */
import type { AsideUpdate } from './quarantine.ts';

type Kind = AsideUpdate['kind'];

/** How long a suspect is remembered after its last refusal, ms. */
const MEMORY_MS = 60_000;
/** Most suspects. The one whose last refusal is longest ago goes first. */
const MOST = 10_000;

export class Suspects {
  readonly #now: () => number;
  /** When each was refused last, the oldest first. */
  readonly #refusedAt = new Map<string, number>();

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get isEmpty(): boolean {
    return this.#refusedAt.size === 0;
  }

  refused(kind: Kind, item: string): void {
    const suspect = kind + item;
    this.#refusedAt.delete(suspect);
    this.#refusedAt.set(suspect, this.#now());
    if (this.#refusedAt.size <= MOST) return;
    const [oldest] = this.#refusedAt.keys();
    this.#refusedAt.delete(oldest!);
  }

  /** Its table may have been mended. */
  passed(kind: Kind, item: string): void {
    this.#refusedAt.delete(kind + item);
  }

  has(kind: Kind, item: string): boolean {
    const at = this.#refusedAt.get(kind + item);
    if (at === undefined) return false;
    if (this.#now() - at < MEMORY_MS) return true;
    this.#refusedAt.delete(kind + item);
    return false;
  }
}
