/** What can break in a schedule of holds. */
import type { Step, Steps } from '../steps.ts';
import { HOLDS } from './record.ts';
import { Redis } from './redis.ts';
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
}

export interface Fault {
  /** How often schedules have it, compared with others. */
  readonly share: number;
  /** Most of a schedule that has it. */
  readonly most: number;
  /** @returns what happened, or undefined if nothing can */
  happen(broken: Broken): string | undefined;
}

/** Replicas matter only in schedules that have it. */
export const LOSS: Fault = { share: 1, most: 2, happen: loseTail };

export const FAULTS: readonly Fault[] = [
  { share: 1, most: 2, happen: kill },
  { share: 1, most: 2, happen: freeze },
  { share: 1, most: 3, happen: stall },
  { share: 0.8, most: 2, happen: broken => send(broken, 'lost') },
  { share: 0.8, most: 2, happen: broken => send(broken, 'copied') },
  { share: 1.2, most: 3, happen: forgetIds },
  { share: 1, most: 4, happen: endLive },
  { share: 1, most: 3, happen: rotate },
  { share: 1, most: 4, happen: changeMood },
  { share: 0.8, most: 3, happen: turnClock },
  { share: 0.4, most: 2, happen: fillRedis },
  LOSS,
  { share: 0.15, most: 1, happen: emptyRedis },
  { share: 1, most: 2, happen: backUp },
  { share: 1, most: 1, happen: restore },
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

/** All workers, and one of them before its acknowledgement. */
function stall({ world, processes }: Broken): string | undefined {
  if (!processes.some(({ step }) => step.name === 'ack')) return undefined;
  const frozen = 20 + world.random.below(60);
  for (const process of processes) if (process.name.startsWith('worker')) process.frozen = frozen;
  return 'the workers freeze before an acknowledgement';
}

function send(broken: Broken, outcome: 'lost' | 'copied'): string | undefined {
  const process = pickBusy(broken, step => outcome === 'lost' || step.isScript === true);
  if (!process) return undefined;
  broken.advance(process, outcome);
  return outcome;
}

function forgetIds({ world }: Broken): string {
  world.redis.trim();
  return 'ids end';
}

function endLive({ world: { random, redis } }: Broken): string {
  const field = random.pick(['account', ...HOLDS]);
  redis.endLive([field]);
  return `the live value of ${field} ends`;
}

function rotate({ world }: Broken): string {
  world.redis.rotate();
  return 'live values rotate';
}

function changeMood({ world }: Broken): string {
  if (world.mood !== 'takes') world.mood = 'takes';
  else world.mood = world.random.chance(0.6) ? 'refuses' : 'holds';
  return `MySQL ${world.mood} entries`;
}

function turnClock({ world: { random, redis } }: Broken): string {
  redis.clock += random.below(120) - 80;
  return `the clock says ${redis.clock}`;
}

function fillRedis({ world: { redis } }: Broken): string {
  redis.isFull = !redis.isFull;
  return redis.isFull ? 'Redis is full' : 'Redis has room';
}

function loseTail({ world, processes }: Broken): string {
  world.loseTail();
  // Users may be back before workers, who would notice.
  const frozen = world.random.below(60);
  for (const process of processes) if (/^(worker|aligner)/.test(process.name)) process.frozen = frozen;
  return 'Redis loses its tail';
}

function emptyRedis({ world }: Broken): string {
  const empty = new Redis(world.bug);
  empty.epoch = `none${world.newNumber()}`;
  world.loseTail(empty);
  return 'Redis is empty';
}

function backUp({ world }: Broken): string {
  world.backup = world.tables.copy();
  return 'backup of MySQL';
}

function restore({ world, processes }: Broken): string | undefined {
  if (!world.backup) return undefined;
  world.restore();
  // Some workers are slow to come back.
  const frozen = world.random.below(40);
  for (const process of processes) if (process.name === 'worker-2') process.frozen = frozen;
  return 'MySQL is restored';
}
