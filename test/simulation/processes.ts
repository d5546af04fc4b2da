/** The processes of a small model: they take steps in any order, and faults come between. */
import type { Random } from './random.ts';
import { OUTAGE, type Step, type Steps } from './steps.ts';

export interface Process {
  readonly name: string;
  readonly loop: () => Steps<void>;
  steps: Steps<void>;
  /** What it does next. */
  step: Step;
  /** It does nothing for so many steps. */
  frozen: number;
}

/** What a fault breaks. */
export interface Broken<World> {
  readonly world: World;
  readonly processes: readonly Process[];
  advance(process: Process, outcome: 'lost' | 'copied'): void;
  kill(process: Process): void;
}

export interface Fault<Breaks> {
  /** How often schedules have it, compared with others. */
  readonly share: number;
  /** Most of a schedule that has it. */
  readonly most: number;
  /** @returns what happened, or undefined if nothing can */
  happen(broken: Breaks): string | undefined;
}

type OfProcesses = Broken<{ readonly random: Random }>;

/** A process that would ask a server next. */
export function pickBusy(
  { world, processes }: OfProcesses,
  suits: (process: Process) => boolean = () => true,
): Process | undefined {
  const isBusy = (process: Process) => process.frozen === 0 && !process.step.isWait && suits(process);
  const busy = processes.filter(process => isBusy(process) && (!process.step.until || process.step.until()));
  return busy.length > 0 ? world.random.pick(busy) : undefined;
}

export function kill(broken: OfProcesses, suits?: (process: Process) => boolean): string | undefined {
  const process = pickBusy(broken, suits);
  if (!process) return undefined;
  const { name } = process.step;
  broken.kill(process);
  return `${process.name} is killed before: ${name}`;
}

/** For ten steps and less than so many more. */
export function freeze(broken: OfProcesses, steps = 100): string | undefined {
  const process = pickBusy(broken);
  if (!process) return undefined;
  process.frozen = 10 + broken.world.random.below(steps);
  return `${process.name} freezes before: ${process.step.name}`;
}

/** An answer is lost, or a script's call arrives once more, later. */
export function send(broken: OfProcesses, outcome: 'lost' | 'copied'): string | undefined {
  const process = pickBusy(broken, ({ step }) => outcome === 'lost' || step.isScript === true);
  if (!process) return undefined;
  broken.advance(process, outcome);
  return outcome;
}

export interface ProcessesParts<World> {
  readonly random: Random;
  readonly world: World;
  /** Called after each step and each fault. */
  readonly stepped: () => void;
  readonly trace: ((line: string) => void) | undefined;
  readonly loops: readonly (readonly [name: string, loop: () => Steps<void>])[];
}

/** The processes of a schedule whose late calls come while the next process is chosen. */
export class Processes<World> {
  readonly #parts: ProcessesParts<World>;
  readonly #all: Process[];
  /** Calls on their way whose callers no longer wait. */
  readonly #late: (() => unknown)[] = [];

  constructor(parts: ProcessesParts<World>) {
    this.#parts = parts;
    this.#all = parts.loops.map(([name, loop]) => start({ name, loop }));
  }

  get hasLate(): boolean {
    return this.#late.length > 0;
  }

  /** @param patience how often the last one goes on */
  choose(last: Process | undefined, patience: number): Process | undefined {
    const { random } = this.#parts;
    const isReady = ({ frozen, step }: Process) => frozen === 0 && (!step.until || step.until());
    for (const process of this.#all) if (process.frozen > 0) process.frozen--;
    if (last && isReady(last) && random.chance(patience)) return last;
    if (this.hasLate && random.chance(0.1)) this.deliver();
    const ready = this.#all.filter(isReady);
    return ready.length > 0 ? random.pick(ready) : undefined;
  }

  /** @param outcome `lost`: the answer does not arrive; `copied`: the call arrives once more, later */
  advance(process: Process, outcome?: 'lost' | 'copied'): void {
    const { stepped, trace } = this.#parts;
    const { name, step, steps } = process;
    trace?.(`${name}: ${step.name}${outcome ? `, ${outcome}` : ''}`);
    if (outcome === 'copied') this.#late.push(step.run);
    try {
      const answer = answerOf(step.run);
      trace?.(`  ${JSON.stringify(answer, (_, value) => (value instanceof Set ? [...value] : value))}`);
      const isLost = answer === OUTAGE || outcome === 'lost';
      const { done, value } = isLost ? steps.throw(OUTAGE) : steps.next(answer);
      if (done) Object.assign(process, start(process));
      else process.step = value;
      if (step.isWait && !done && !process.step.until) {
        this.advance(process);
        return;
      }
    } catch (error) {
      if (error !== OUTAGE) throw error;
      Object.assign(process, start(process));
    }
    stepped();
  }

  /** One late call arrives. */
  deliver(): void {
    const { random, stepped, trace } = this.#parts;
    const [run] = this.#late.splice(random.below(this.#late.length), 1);
    trace?.('a late call arrives');
    answerOf(run!);
    stepped();
  }

  /** @param budgets how often each fault may happen yet @returns false if the chosen fault cannot happen now */
  breakSomething(budgets: Map<Fault<Broken<World>>, number>): boolean {
    const { random, world, stepped, trace } = this.#parts;
    const possible = [...budgets].filter(([, budget]) => budget > 0);
    if (possible.length === 0) return false;
    const [fault, budget] = random.pick(possible);
    const happened = fault.happen({
      world,
      processes: this.#all,
      advance: (process, outcome) => this.advance(process, outcome),
      kill: process => this.#kill(process),
    });
    if (happened === undefined) return false;
    budgets.set(fault, budget - 1);
    trace?.(`fault: ${happened}`);
    stepped();
    return true;
  }

  /** No process is frozen any more. */
  thaw(): void {
    for (const process of this.#all) process.frozen = 0;
  }

  /** What the process has sent may still arrive. */
  #kill(process: Process): void {
    const { random } = this.#parts;
    const { step, steps } = process;
    if (step.isScript && random.chance(0.5)) this.#late.push(step.run);
    if (step.isCommit && random.chance(0.5)) answerOf(step.run);
    steps.return();
    Object.assign(process, start(process));
  }
}

export function start(process: Pick<Process, 'name' | 'loop'>): Process {
  const steps = process.loop();
  return { ...process, steps, step: steps.next().value as Step, frozen: 0 };
}

function answerOf(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    if (error !== OUTAGE) throw error;
    return OUTAGE;
  }
}
