/** What must hold after each step, after each commit, and at the end of a schedule. */
import { Wrong } from '../steps.ts';
import type { Pending, Update } from './redis.ts';
import { KEYS, type World } from './world.ts';

export class Checker {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
    world.onCommit = () => this.#committed();
  }

  #committed(): void {
    const { tables, decided } = this.#world;
    const { place, isFinished } = tables.run;
    for (const key of KEYS) {
      const openings = tables.updatesOf(key).filter(({ isOpening }) => isOpening);
      this.#compare(key, openings);
      if ((isFinished || key <= place) && openings.length === 0 && !decided.has(key))
        throw new Wrong(`the run has passed ${key}, which is not in MySQL`);
      const value = tables.values.get(key);
      if (value) this.#keepsRight(value);
    }
  }

  #compare(key: string, openings: readonly Update[]): void {
    const { kind, recorded, excused, decided, choice, hasLost, hasBarrier } = this.#world;
    for (const { amount } of openings)
      if (amount !== recorded.get(key))
        throw new Wrong(`${amount} is counted for ${key}, whose page has ${recorded.get(key)}`);
    if (kind !== 'c' && kind !== 'p') return;
    const sent = new Set(openings).size;
    const mayDouble = kind === 'c' && (excused.has(key) || (choice === 'apply' && decided.has(key)));
    if (sent > 1 && !mayDouble) throw new Wrong(`${key} is counted ${sent} times`);
    // Any counter counts twice if Redis forgets the claim of a committed batch. Entries never do.
    const mayRepeat = kind === 'c' && hasLost && !hasBarrier;
    if (openings.length > sent && !mayRepeat) throw new Wrong(`an opening of ${key} is written twice`);
  }

  /** A value has the number that its rule keeps; an opening of a `last` value is older than any put. */
  #keepsRight({ key, updates, value }: Pending): void {
    const { kind } = this.#world;
    const amounts = updates.map(({ amount }) => amount);
    const puts = updates.filter(({ isOpening }) => !isOpening);
    if (kind === '>' && value !== Math.max(...amounts)) throw new Wrong(`${key} is not the greatest`);
    if (kind !== '=' || puts.length === 0) return;
    const newest = puts.reduce((last, put) => (put.version > last.version ? put : last));
    if (value !== newest.amount) throw new Wrong(`${key} is ${value}, but ${newest.amount} was put last`);
  }

  stepped(): void {
    if (this.#world.hasMark && !this.#world.hasLost) this.#read();
  }

  /** With a mark, readers look where the number is. */
  #read(): void {
    const { tables, truth, decided } = this.#world;
    for (const key of KEYS) {
      const { value, home } = tables.source.get(key)!;
      const counted = this.#world.countedOf(key).reduce((sum, { amount }) => sum + amount, 0);
      const seen = home === 2 ? counted : value;
      if (seen !== truth.get(key) && !decided.has(key))
        throw new Wrong(`readers see ${seen} for ${key}, not ${truth.get(key)}`);
    }
  }

  ended(): void {
    const { redis, tables, isUnproven } = this.#world;
    if (tables.quarantine.length > 0) throw new Wrong('an update stays in quarantine');
    for (const { token, pending } of redis)
      if (token || pending.length > 0) throw new Wrong('updates stay pending');
    if (!tables.run.isFinished && !isUnproven) throw new Wrong('the run does not end');
  }
}
