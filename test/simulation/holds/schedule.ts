/** One schedule of the model of holds from its seed: processes take steps in any order, between faults. */

import { type Broken, type Fault, type Process, Processes } from '../processes.ts';
import { Random } from '../random.ts';
import { type Steps, Wrong } from '../steps.ts';
import type { HoldBug } from './bugs.ts';
import { Checker } from './checker.ts';
import { FAULTS, LOSS } from './faults.ts';
import { operate } from './operator.ts';
import { type User, use, Wishes } from './users.ts';
import { align, flush, read, recover, release, sweep } from './worker.ts';
import { World } from './world.ts';

const MOST_STEPS = 3000;

/** Returns what goes wrong in the schedule of this seed, or undefined. */
export function runHoldSchedule(
  seed: number,
  bug?: HoldBug,
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
  /** How often the replica gets all that its primary has. */
  readonly #replication: number;
  readonly #patience: number;
  readonly #chaos: number;
  readonly #trace: ((line: string) => void) | undefined;

  constructor(random: Random, bug: HoldBug | undefined, trace: ((line: string) => void) | undefined) {
    this.#random = random;
    this.#trace = trace;
    const world = new World(random, bug);
    this.#world = world;
    world.operations = random.below(5);
    this.#checker = new Checker(world);
    const wishes = new Wishes(world);
    const users: User[] = ['user-1', 'user-2', 'user-3'].map(name => ({ name, calls: 0 }));
    const loops: [string, () => Steps<void>][] = [
      ...users.map(user => [user.name, () => use(world, user, wishes)] as [string, () => Steps<void>]),
      ['worker-1', () => flush(world)],
      ['worker-2', () => flush(world)],
      ['sweep-1', () => sweep(world)],
      ['sweep-2', () => sweep(world)],
      ['reader', () => read(world)],
      ['aligner', () => align(world)],
      ['recovery', () => recover(world)],
      ['releaser', () => release(world)],
      ['operator-1', () => operate(world)],
      ['operator-2', () => operate(world)],
    ];
    const stepped = () => this.#checker.stepped();
    this.#processes = new Processes({ random, world, stepped, trace, loops });
    const share = 0.7 * random.next();
    // Some faults matter only together, so each schedule prefers a few.
    const favourites = [random.pick(FAULTS), random.pick(FAULTS), random.pick(FAULTS)];
    for (const fault of FAULTS)
      if (favourites.includes(fault) || random.chance(share * fault.share))
        this.#budgets.set(fault, 1 + random.below(fault.most));
    this.#replication = random.next() * (random.chance(0.4) ? 0.02 : 0.15);
    this.#faultRate = random.next() * 0.4;
    this.#patience = random.next() * 0.9;
    this.#chaos = 20 + random.below(120);
  }

  run(): void {
    let last: Process | undefined;
    const loses = this.#budgets.has(LOSS);
    for (let at = 0; at < MOST_STEPS; at++) {
      if (at === this.#chaos) this.#calmDown();
      this.#world.redis.clock++;
      if (
        !this.#world.isCalm &&
        this.#random.chance(this.#faultRate) &&
        this.#processes.breakSomething(this.#budgets)
      )
        continue;
      const next = this.#processes.choose(last, this.#patience);
      if (loses && this.#random.chance(this.#replication)) this.#world.replica = this.#world.redis.copy();
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
    this.#trace?.('calm');
    this.#world.isCalm = true;
    this.#processes.thaw();
    this.#world.redis.isFull = false;
    this.#world.mood = 'takes';
  }
}
