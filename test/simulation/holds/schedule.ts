/** One schedule of the model of holds from its seed: processes take steps in any order, between faults. */

import { Random } from '../random.ts';
import { OUTAGE, type Step, Wrong } from '../steps.ts';
import type { HoldBug } from './bugs.ts';
import { Checker } from './checker.ts';
import { FAULTS, type Fault, LOSS, type Process } from './faults.ts';
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
  readonly #processes: Process[];
  readonly #late: (() => unknown)[] = [];
  readonly #budgets = new Map<Fault, number>();
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
    this.#processes = [
      ...users.map(user => this.#start({ name: user.name, loop: () => use(world, user, wishes) })),
      ...['worker-1', 'worker-2'].map(name => this.#start({ name, loop: () => flush(world) })),
      ...['sweep-1', 'sweep-2'].map(name => this.#start({ name, loop: () => sweep(world) })),
      this.#start({ name: 'reader', loop: () => read(world) }),
      this.#start({ name: 'aligner', loop: () => align(world) }),
      this.#start({ name: 'recovery', loop: () => recover(world) }),
      this.#start({ name: 'releaser', loop: () => release(world) }),
      ...['operator-1', 'operator-2'].map(name => this.#start({ name, loop: () => operate(world) })),
    ];
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

  #start(process: Pick<Process, 'name' | 'loop'>): Process {
    const steps = process.loop();
    return { ...process, steps, step: steps.next().value as Step, frozen: 0 };
  }

  run(): void {
    let last: Process | undefined;
    const loses = this.#budgets.has(LOSS);
    for (let at = 0; at < MOST_STEPS; at++) {
      if (at === this.#chaos) this.#calmDown();
      this.#world.redis.clock++;
      if (!this.#world.isCalm && this.#random.chance(this.#faultRate) && this.#breakSomething()) continue;
      const next = this.#choose(last);
      if (loses && this.#random.chance(this.#replication)) this.#world.replica = this.#world.redis.copy();
      if (next) this.#advance(next);
      else if (this.#late.length > 0) this.#deliver();
      else if (this.#world.isCalm) {
        this.#checker.ended();
        return;
      } else this.#calmDown();
      last = next;
    }
    throw new Wrong('does not end');
  }

  #choose(last: Process | undefined): Process | undefined {
    const isReady = ({ frozen, step }: Process) => frozen === 0 && (!step.until || step.until());
    for (const process of this.#processes) if (process.frozen > 0) process.frozen--;
    if (last && isReady(last) && this.#random.chance(this.#patience)) return last;
    if (this.#late.length > 0 && this.#random.chance(0.1)) {
      this.#deliver();
    }
    const ready = this.#processes.filter(isReady);
    return ready.length > 0 ? this.#random.pick(ready) : undefined;
  }

  /** @param outcome `lost`: the answer does not arrive; `copied`: the call arrives once more, later */
  #advance(process: Process, outcome?: 'lost' | 'copied'): void {
    const { name, step, steps } = process;
    this.#trace?.(`${name}: ${step.name}${outcome ? `, ${outcome}` : ''}`);
    if (outcome === 'copied') this.#late.push(step.run);
    try {
      const answer = this.#run(step.run);
      this.#trace?.(`  ${JSON.stringify(answer, (_, value) => (value instanceof Set ? [...value] : value))}`);
      const isLost = answer === OUTAGE || outcome === 'lost';
      const { done, value } = isLost ? steps.throw(OUTAGE) : steps.next(answer);
      if (done) Object.assign(process, this.#start(process));
      else process.step = value;
      if (step.isWait && !done && !process.step.until) {
        this.#advance(process);
        return;
      }
    } catch (error) {
      if (error !== OUTAGE) throw error;
      Object.assign(process, this.#start(process));
    }
    this.#checker.stepped();
  }

  #run(run: () => unknown): unknown {
    try {
      return run();
    } catch (error) {
      if (error !== OUTAGE) throw error;
      return OUTAGE;
    }
  }

  #deliver(): void {
    const [run] = this.#late.splice(this.#random.below(this.#late.length), 1);
    this.#trace?.('a late call arrives');
    this.#run(run!);
    this.#checker.stepped();
  }

  /** @returns false if the chosen fault cannot happen now */
  #breakSomething(): boolean {
    const possible = [...this.#budgets].filter(([, budget]) => budget > 0);
    if (possible.length === 0) return false;
    const [fault, budget] = this.#random.pick(possible);
    const happened = fault.happen({
      world: this.#world,
      processes: this.#processes,
      advance: (process, outcome) => this.#advance(process, outcome),
      kill: process => this.#kill(process),
    });
    if (happened === undefined) return false;
    this.#budgets.set(fault, budget - 1);
    this.#trace?.(`fault: ${happened}`);
    this.#checker.stepped();
    return true;
  }

  /** What the process has sent may still arrive. */
  #kill(process: Process): void {
    const { step, steps } = process;
    if (step.isScript && this.#random.chance(0.5)) this.#late.push(step.run);
    if (step.isCommit && this.#random.chance(0.5)) this.#run(step.run);
    steps.return();
    Object.assign(process, this.#start(process));
  }

  #calmDown(): void {
    this.#trace?.('calm');
    this.#world.isCalm = true;
    for (const process of this.#processes) process.frozen = 0;
    this.#world.redis.isFull = false;
    this.#world.mood = 'takes';
  }
}
