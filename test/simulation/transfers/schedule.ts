/** One schedule of the model of transfers from its seed: processes take steps in any order, between faults. */

import { type Broken, type Fault, type Process, Processes } from '../processes.ts';
import { Random } from '../random.ts';
import { type Steps, Wrong } from '../steps.ts';
import type { TransferBug } from './bugs.ts';
import { Checker } from './checker.ts';
import { FAULTS, LOSS } from './faults.ts';
import { operate } from './operator.ts';
import { crowd, use, Wishes } from './users.ts';
import { align, flush, read, recover, sweep } from './worker.ts';
import { PARTITIONS, World } from './world.ts';

const MOST_STEPS = 3000;

/** Returns what goes wrong in the schedule of this seed, or undefined. */
export function runTransferSchedule(
  seed: number,
  bug?: TransferBug,
  trace?: (line: string) => void,
): string | undefined {
  try {
    new Schedule(new Random(seed), bug, trace).run();
    return undefined;
  } catch (error) {
    if (error instanceof Wrong) return error.message;
    throw error;
  }
}

class Schedule {
  readonly #random: Random;
  readonly #world: World;
  readonly #checker: Checker;
  readonly #processes: Processes<World>;
  readonly #budgets = new Map<Fault<Broken<World>>, number>();
  readonly #faultRate: number;
  readonly #patience: number;
  readonly #chaos: number;
  readonly #trace: ((line: string) => void) | undefined;

  constructor(random: Random, bug: TransferBug | undefined, trace: ((line: string) => void) | undefined) {
    this.#random = random;
    this.#trace = trace;
    const isCrowded = random.chance(0.04);
    this.#world = new World(random, bug, random.chance(0.3), isCrowded);
    if (isCrowded) this.#world.crowd = 30;
    this.#world.operations = random.below(5);
    this.#checker = new Checker(this.#world);
    const wishes = new Wishes(this.#world);
    const loops: [string, () => Steps<void>][] = [
      ['user-1', () => use(this.#world, wishes)],
      ['user-2', () => use(this.#world, wishes)],
      ['worker-1', () => flush(this.#world)],
      ['worker-2', () => flush(this.#world)],
      ['sweep-1', () => sweep(this.#world)],
      ['sweep-2', () => sweep(this.#world)],
      ['reader', () => read(this.#world)],
      ['aligner', () => align(this.#world)],
      ['recovery', () => recover(this.#world)],
      ['operator-1', () => operate(this.#world)],
      ['operator-2', () => operate(this.#world)],
      ...(isCrowded ? [['crowd', () => crowd(this.#world)] as [string, () => Steps<void>]] : []),
    ];
    const stepped = () => this.#checker.stepped();
    this.#processes = new Processes({ random, world: this.#world, stepped, trace, loops });
    const share = 0.7 * random.next();
    // Some faults matter only together, so each schedule prefers a few.
    const favourites = [random.pick(FAULTS), random.pick(FAULTS), random.pick(FAULTS)];
    for (const fault of FAULTS) {
      const has = favourites.includes(fault) || random.chance(share * fault.share);
      this.#budgets.set(fault, has && !isCrowded ? 1 + random.below(fault.most) : 0);
    }
    this.#faultRate = random.next() * 0.4;
    this.#patience = random.next() * 0.9;
    this.#chaos = 20 + random.below(120);
  }

  run(): void {
    let last: Process | undefined;
    const loses = this.#budgets.get(LOSS)! > 0;
    for (let at = 0; at < MOST_STEPS; at++) {
      if (at === this.#chaos) this.#calmDown();
      if (
        !this.#world.isCalm &&
        this.#random.chance(this.#faultRate) &&
        this.#processes.breakSomething(this.#budgets)
      )
        continue;
      const next = this.#processes.choose(last, this.#patience);
      if (loses && this.#random.chance(0.15)) this.#world.replicate(this.#random.pick(PARTITIONS));
      if (next) this.#processes.advance(next);
      else if (this.#processes.hasLate) this.#processes.deliver();
      else if (this.#world.isCalm) {
        this.#checker.ended();
        return;
      } else this.#calmDown();
      last = next;
    }
    throw new Wrong('does not end');
  }

  #calmDown(): void {
    const { redis, moods } = this.#world;
    this.#trace?.('calm');
    this.#world.isCalm = true;
    this.#processes.thaw();
    for (const one of redis) one.isFull = false;
    for (const mood of moods) Object.assign(mood, { credits: 'takes', debits: 'takes' });
  }
}
