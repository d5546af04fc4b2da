/** One schedule of the model of values from its seed: processes take steps in any order, between faults. */
import { type Process, start } from '../processes.ts';
import { Random } from '../random.ts';
import { OUTAGE, Wrong } from '../steps.ts';
import type { ValueBug } from './bugs.ts';
import { Checker } from './checker.ts';
import { CLOCK, FAULTS, LOSS, type ValueFault } from './faults.ts';
import { ITEMS } from './kept.ts';
import { align, flush, operate, type Producer, produce, read, release } from './processes.ts';
import { World } from './world.ts';

const MOST_STEPS = 2000;

/** Returns what goes wrong in the schedule of this seed, or undefined. */
export function runValueSchedule(
  seed: number,
  bug?: ValueBug,
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
  /** Copies of calls that arrive later. */
  #late: (() => unknown)[] = [];
  readonly #budgets = new Map<ValueFault, number>();
  readonly #faultRate: number;
  /** How often the replica gets all that its primary has. */
  readonly #replication: number;
  readonly #patience: number;
  readonly #chaos: number;
  readonly #trace: ((line: string) => void) | undefined;

  constructor(random: Random, bug: ValueBug | undefined, trace: ((line: string) => void) | undefined) {
    this.#random = random;
    this.#trace = trace;
    const world = new World(random, bug);
    this.#world = world;
    this.#checker = new Checker(world);
    const producers: Producer[] = ['producer-1', 'producer-2'].map(name => ({
      name,
      calls: 0,
      left: 1 + random.below(5),
    }));
    this.#processes = [
      ...producers.map(producer => start({ name: producer.name, loop: () => produce(world, producer) })),
      ...['worker-1', 'worker-2'].map(name => start({ name, loop: () => flush(world) })),
      ...['operator-1', 'operator-2'].map(name => start({ name, loop: () => operate(world) })),
      start({ name: 'reader', loop: () => read(world) }),
      start({ name: 'aligner', loop: () => align(world) }),
      start({ name: 'releaser', loop: () => release(world) }),
    ];
    const share = 0.6 * random.next();
    // Some faults matter only together, so each schedule prefers a few.
    const favourites = [random.pick(FAULTS), random.pick(FAULTS), random.pick(FAULTS)];
    for (const fault of FAULTS)
      if (favourites.includes(fault) || random.chance(share))
        this.#budgets.set(fault, 1 + random.below(fault.most));
    if (this.#budgets.has(LOSS) && !world.hasBadClocks) this.#budgets.delete(CLOCK);
    this.#faultRate = random.next() * 0.3;
    this.#replication = random.next() * 0.15;
    this.#patience = random.next() * 0.9;
    this.#chaos = 30 + random.below(150);
  }

  run(): void {
    let last: Process | undefined;
    const loses = this.#budgets.has(LOSS);
    for (let at = 0; at < MOST_STEPS; at++) {
      if (at === this.#chaos) this.#calmDown();
      this.#world.redis.tick();
      if (!this.#world.isCalm && this.#random.chance(this.#faultRate) && this.#breakSomething()) continue;
      if (loses && this.#random.chance(this.#replication)) this.#world.replica = this.#world.redis.copy();
      const next = this.#choose(last);
      if (this.#late.length > 0 && (!next || this.#random.chance(0.1))) this.#deliver();
      else if (next) this.#advance(next);
      else if (!this.#world.isCalm) this.#calmDown();
      else {
        this.#checker.ended();
        return;
      }
      last = next;
    }
    throw new Wrong('does not end');
  }

  #choose(last: Process | undefined): Process | undefined {
    const isReady = ({ frozen, step }: Process) => frozen === 0 && (!step.until || step.until());
    for (const process of this.#processes) if (process.frozen > 0) process.frozen--;
    if (last && isReady(last) && this.#random.chance(this.#patience)) return last;
    const ready = this.#processes.filter(isReady);
    return ready.length > 0 ? this.#random.pick(ready) : undefined;
  }

  /** @param outcome `lost`: the answer does not arrive; `copied`: the call arrives once more, later */
  #advance(process: Process, outcome?: 'lost' | 'copied'): void {
    const { name, step, steps } = process;
    this.#trace?.(`${name}: ${step.name}${outcome ? `, ${outcome}` : ''}`);
    if (outcome === 'copied') this.#late.push(step.run);
    try {
      const answer = step.run();
      const { done, value } = outcome === 'lost' ? steps.throw(OUTAGE) : steps.next(answer);
      if (done) Object.assign(process, start(process));
      else process.step = value;
    } catch (error) {
      if (error !== OUTAGE) throw error;
      Object.assign(process, start(process));
    }
    this.#checker.stepped();
  }

  #deliver(): void {
    const [run] = this.#late.splice(this.#random.below(this.#late.length), 1);
    this.#trace?.('a late call arrives');
    run!();
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
      cut: () => {
        this.#late = [];
      },
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
    if (step.isCommit && this.#random.chance(0.5)) step.run();
    steps.return();
    Object.assign(process, start(process));
  }

  #calmDown(): void {
    this.#trace?.('calm');
    this.#world.isCalm = true;
    for (const process of this.#processes) process.frozen = 0;
    for (const item of ITEMS) this.#world.moods[item] = 'takes';
  }
}
