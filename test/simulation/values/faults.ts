/** What can break in a schedule of values. */
import type { Step, Steps } from '../steps.ts';
import { ITEMS, type Item } from './kept.ts';
import type { World } from './world.ts';

export interface Process {
  readonly name: string;
  readonly loop: () => Steps<void>;
  steps: Steps<void>;
  /** What it does next. */
  step: Step;
  /** It does nothing for so many steps. */
  frozen: number;
}

export interface Broken {
  readonly world: World;
  readonly processes: readonly Process[];
  advance(process: Process, outcome: 'lost' | 'copied'): void;
  kill(process: Process): void;
  /** Connections end, with the calls that are still on them. */
  cut(): void;
}

export interface Fault {
  /** Most of a schedule that has it. */
  readonly most: number;
  /** @returns what happened, or undefined if nothing can */
  happen(broken: Broken): string | undefined;
}

/** Replicas matter only in schedules that have it. */
export const LOSS: Fault = { most: 2, happen: loseTail };
/** Not with a loss, unless clocks are bad: the versions of a clock that went back are ahead of it. */
export const CLOCK: Fault = { most: 2, happen: turnClockBack };

export const FAULTS: readonly Fault[] = [
  { most: 2, happen: kill },
  { most: 2, happen: freeze },
  { most: 2, happen: broken => send(broken, 'lost') },
  { most: 2, happen: broken => send(broken, 'copied') },
  { most: 3, happen: endLive },
  { most: 5, happen: changeMood },
  LOSS,
  CLOCK,
];

function pickBusy({ world, processes }: Broken, suits = (_: Step) => true): Process | undefined {
  const isBusy = ({ step, frozen }: Process) => frozen === 0 && !step.isWait && suits(step);
  const busy = processes.filter(process => isBusy(process) && (!process.step.until || process.step.until()));
  return busy.length > 0 ? world.random.pick(busy) : undefined;
}

function kill(broken: Broken): string | undefined {
  const process = pickBusy(broken);
  if (!process) return undefined;
  const { name } = process.step;
  broken.kill(process);
  return `${process.name} is killed before: ${name}`;
}

function freeze(broken: Broken): string | undefined {
  const process = pickBusy(broken);
  if (!process) return undefined;
  process.frozen = 10 + broken.world.random.below(100);
  return `${process.name} freezes before: ${process.step.name}`;
}

function send(broken: Broken, outcome: 'lost' | 'copied'): string | undefined {
  const process = pickBusy(broken, step => outcome === 'lost' || step.isScript === true);
  if (!process) return undefined;
  broken.advance(process, outcome);
  return outcome;
}

/** Two rotations: all live values end, or those of one key that nobody used. */
function endLive({ world: { random, redis } }: Broken): string {
  const item = random.chance(0.5) ? random.pick(ITEMS) : undefined;
  if (item) redis.live.delete(item);
  else redis.live.clear();
  return `live values end: ${item ?? 'all'}`;
}

function changeMood({ world: { random, moods } }: Broken): string {
  const item: Item = random.pick(ITEMS);
  if (moods[item] !== 'takes') moods[item] = 'takes';
  else moods[item] = random.chance(0.5) ? 'refuses' : 'holds';
  return `MySQL ${moods[item]} ${item}`;
}

function loseTail({ world, cut }: Broken): string {
  world.loseTail();
  cut();
  return 'Redis loses its tail';
}

function turnClockBack({ world: { random, redis } }: Broken): string {
  redis.clock -= random.below(1000);
  return 'the clock goes back';
}
