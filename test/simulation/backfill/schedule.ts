/** One schedule of the model of a backfill from its seed: processes take steps in any order, between faults. */
import { type Fault, type Process, start } from '../processes.ts';
import { Random } from '../random.ts';
import { OUTAGE, Wrong } from '../steps.ts';
import type { BackfillBug } from './bugs.ts';
import { Checker } from './checker.ts';
import { copy } from './copy.ts';
import { type Breaks, FAULTS, LOSSES } from './faults.ts';
import { align, flush, replay, type Service, serve, write } from './processes.ts';
import { LEASE, PARTITIONS, World } from './world.ts';

const MOST_STEPS = 3000;
/** A call is refused after its deadline, in steps. */
const CALL = 15;

/** Returns what goes wrong in the schedule of this seed, or undefined. */
export function runBackfillSchedule(
  seed: number,
  bug?: BackfillBug,
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
  #late: { readonly run: () => unknown; readonly deadline: number }[] = [];
  readonly #budgets = new Map<Fault<Breaks>, number>();
  readonly #faultRate: number;
  /** How often the replica gets all that its primary has. */
  readonly #replication: number;
  readonly #patience: number;
  readonly #chaos: number;
  readonly #trace: ((line: string) => void) | undefined;

  constructor(random: Random, bug: BackfillBug | undefined, trace: ((line: string) => void) | undefined) {
    this.#random = random;
    this.#trace = trace;
    const world = new World(random, bug);
    this.#world = world;
    this.#checker = new Checker(world);
    const services = ['service-1', 'service-2', 'writer-1'].map(name => ({
      ...{ name, calls: 0, left: random.below(8) },
    }));
    const [one, other, writer] = services as [Service, Service, Service];
    this.#processes = [
      ...['backfill-1', 'backfill-2'].map(name => start({ name, loop: () => copy(world, name) })),
      start({ name: one.name, loop: () => serve(world, one) }),
      start({ name: other.name, loop: () => serve(world, other) }),
      start({ name: writer.name, loop: () => write(world, writer) }),
      ...['worker-1', 'worker-2'].map(name => start({ name, loop: () => flush(world) })),
      start({ name: 'aligner', loop: () => align(world) }),
      start({ name: 'operator', loop: () => replay(world) }),
    ];
    const share = 0.6 * random.next();
    // Some faults matter only together, so each schedule prefers a few.
    const favourites = [random.pick(FAULTS), random.pick(FAULTS), random.pick(FAULTS)];
    for (const fault of FAULTS)
      if (favourites.includes(fault) || random.chance(share * fault.share))
        this.#budgets.set(fault, 1 + random.below(fault.most));
    this.#faultRate = random.next() * 0.3;
    this.#replication = random.next() * 0.3;
    this.#patience = random.next() * 0.9;
    this.#chaos = 40 + random.below(150);
  }

  run(): void {
    let last: Process | undefined;
    const world = this.#world;
    const loses = LOSSES.some(fault => this.#budgets.has(fault));
    for (let at = 0; at < MOST_STEPS; at++) {
      if (at === this.#chaos) this.#calmDown();
      world.now++;
      this.#late = this.#late.filter(({ deadline }) => deadline > world.now);
      this.#renew();
      this.#failOver();
      if (!world.isCalm && this.#random.chance(this.#faultRate) && this.#breakSomething()) continue;
      if (loses && this.#random.chance(this.#replication)) this.#replicate();
      const next = this.#choose(last);
      if (this.#late.length > 0 && (!next || this.#random.chance(0.1))) this.#deliver();
      else if (next) this.#advance(next);
      else if (!world.isCalm) this.#calmDown();
      else if (world.tables.run.ownedUntil <= world.now || world.isUnproven || world.tables.run.isFinished) {
        this.#checker.ended();
        return;
      }
      last = next;
    }
    throw new Wrong('does not end');
  }

  #failOver(): void {
    const { failover, now } = this.#world;
    if (!failover || failover.at > now) return;
    this.#trace?.(`Redis ${failover.partition} fails over`);
    this.#world.failover = undefined;
    this.#world.lose(failover.partition, false);
    this.#late = [];
    this.#checker.stepped();
  }

  #replicate(): void {
    const partition = this.#random.pick(PARTITIONS);
    this.#world.replicas[partition] = this.#world.redis[partition]!.copy();
  }

  /** A process renews its lease beside its other work, unless it is frozen. */
  #renew(): void {
    const { copiers, tables, now } = this.#world;
    for (const { name, frozen } of this.#processes) {
      const copier = copiers.get(name);
      if (!copier || frozen > 0 || copier.owner !== tables.run.owner) continue;
      copier.until = now + LEASE;
      tables.run = { ...tables.run, ownedUntil: copier.until };
    }
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
    if (outcome === 'copied') this.#arriveLate(step.run);
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

  #arriveLate(run: () => unknown): void {
    this.#late.push({ run, deadline: this.#world.now + CALL });
  }

  #deliver(): void {
    const [late] = this.#late.splice(this.#random.below(this.#late.length), 1);
    this.#trace?.('a late call arrives');
    late!.run();
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
    if (step.isScript && this.#random.chance(0.5)) this.#arriveLate(step.run);
    if (step.isCommit && this.#random.chance(0.5)) step.run();
    steps.return();
    Object.assign(process, start(process));
  }

  #calmDown(): void {
    this.#trace?.('calm');
    this.#world.isCalm = true;
    this.#world.failover = undefined;
    for (const process of this.#processes) process.frozen = 0;
    this.#world.refuses.fill(false);
  }
}
