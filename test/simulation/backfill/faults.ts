/** What can break in a schedule of a backfill. */
import type { Step, Steps } from '../steps.ts';
import { WINDOW } from './redis.ts';
import { PARTITIONS, type World } from './world.ts';

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
  /** How often schedules have it, compared with others. */
  readonly share: number;
  /** Most of a schedule that has it. */
  readonly most: number;
  /** @returns what happened, or undefined if nothing can */
  happen(broken: Broken): string | undefined;
}

/** Replicas matter only in schedules that have one of these. */
export const LOSSES: readonly Fault[] = [
  { share: 1, most: 2, happen: broken => lose(broken, false) },
  { share: 0.5, most: 1, happen: cutOff },
  { share: 0.5, most: 1, happen: strand },
];

export const FAULTS: readonly Fault[] = [
  { share: 1, most: 3, happen: broken => kill(broken, isCopier) },
  { share: 0.6, most: 2, happen: broken => kill(broken, process => !isCopier(process)) },
  { share: 1, most: 2, happen: freeze },
  { share: 1, most: 3, happen: broken => send(broken, 'lost') },
  { share: 0.8, most: 2, happen: broken => send(broken, 'copied') },
  { share: 1, most: 2, happen: passWindow },
  { share: 0.6, most: 4, happen: changeMood },
  { share: 0.2, most: 1, happen: broken => lose(broken, true) },
  ...LOSSES,
];

const LONGEST_FREEZE = 60;

function isCopier({ name }: Process): boolean {
  return name.startsWith('backfill');
}

function pickBusy({ world, processes }: Broken, suits: (process: Process) => boolean): Process | undefined {
  const isBusy = (process: Process) => process.frozen === 0 && !process.step.isWait && suits(process);
  const busy = processes.filter(process => isBusy(process) && (!process.step.until || process.step.until()));
  return busy.length > 0 ? world.random.pick(busy) : undefined;
}

function kill(broken: Broken, suits: (process: Process) => boolean): string | undefined {
  const process = pickBusy(broken, suits);
  if (!process) return undefined;
  const { name } = process.step;
  broken.kill(process);
  return `${process.name} is killed before: ${name}`;
}

function freeze(broken: Broken): string | undefined {
  const process = pickBusy(broken, () => true);
  if (!process) return undefined;
  process.frozen = 10 + broken.world.random.below(LONGEST_FREEZE - 10);
  return `${process.name} freezes before: ${process.step.name}`;
}

function send(broken: Broken, outcome: 'lost' | 'copied'): string | undefined {
  const process = pickBusy(broken, ({ step }) => outcome === 'lost' || step.isScript === true);
  if (!process) return undefined;
  broken.advance(process, outcome);
  return outcome;
}

/** The window of all ids ends. Not within a call of the backfill: it would have to be frozen for as long. */
function passWindow({ world }: Broken): string | undefined {
  if ([...world.copiers.values()].some(({ sending }) => sending)) return undefined;
  world.now += WINDOW + LONGEST_FREEZE;
  for (const redis of world.redis) redis.trim(world.now);
  return 'the window of ids passes';
}

function changeMood({ world: { random, refuses } }: Broken): string {
  const partition = random.pick(PARTITIONS);
  refuses[partition] = !refuses[partition];
  return `MySQL ${refuses[partition] ? 'refuses' : 'takes'} the updates of ${partition}`;
}

/** A backfill gets no answer and no connection until another Redis is the primary; workers reach the old one. */
function cutOff(broken: Broken): string | undefined {
  const process = pickBusy(broken, one => isCopier(one) && one.step.isScript === true);
  if (!process) return undefined;
  broken.advance(process, 'lost');
  return failOver(broken, process);
}

/** A worker stops before its commit until another Redis is the primary. */
function strand(broken: Broken): string | undefined {
  const process = pickBusy(broken, one => one.name.startsWith('worker') && one.step.isCommit === true);
  return process && failOver(broken, process);
}

function failOver({ world }: Broken, process: Process): string {
  const { random, now } = world;
  process.frozen = 10 + random.below(LONGEST_FREEZE - 10);
  world.failover = { partition: random.pick(PARTITIONS), at: now + random.below(process.frozen) };
  return `${process.name} freezes until a failover`;
}

function lose({ world, cut }: Broken, isEmpty: boolean): string {
  const partition = world.random.pick(PARTITIONS);
  world.lose(partition, isEmpty);
  cut();
  return `Redis ${partition} ${isEmpty ? 'is empty' : 'loses its tail'}`;
}
