/** What can break in a schedule of a backfill. */
import { type Broken, type Fault, freeze, kill, type Process, pickBusy, send } from '../processes.ts';
import { WINDOW } from './redis.ts';
import { PARTITIONS, type World } from './world.ts';

/** What a fault of this model breaks. */
export interface Breaks extends Broken<World> {
  /** Connections end, with the calls that are still on them. */
  cut(): void;
}

/** Replicas matter only in schedules that have one of these. */
export const LOSSES: readonly Fault<Breaks>[] = [
  { share: 1, most: 2, happen: broken => lose(broken, false) },
  { share: 0.5, most: 1, happen: cutOff },
  { share: 0.5, most: 1, happen: strand },
];

export const FAULTS: readonly Fault<Breaks>[] = [
  { share: 1, most: 3, happen: broken => kill(broken, isCopier) },
  { share: 0.6, most: 2, happen: broken => kill(broken, process => !isCopier(process)) },
  { share: 1, most: 2, happen: broken => freeze(broken, LONGEST_FREEZE - 10) },
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

/** The window of all ids ends. Not within a call of the backfill: it would have to be frozen for as long. */
function passWindow({ world }: Breaks): string | undefined {
  if ([...world.copiers.values()].some(({ sending }) => sending)) return undefined;
  world.now += WINDOW + LONGEST_FREEZE;
  for (const redis of world.redis) redis.trim(world.now);
  return 'the window of ids passes';
}

function changeMood({ world: { random, refuses } }: Breaks): string {
  const partition = random.pick(PARTITIONS);
  refuses[partition] = !refuses[partition];
  return `MySQL ${refuses[partition] ? 'refuses' : 'takes'} the updates of ${partition}`;
}

/** A backfill gets no answer and no connection until another Redis is the primary; workers reach the old one. */
function cutOff(broken: Breaks): string | undefined {
  const process = pickBusy(broken, one => isCopier(one) && one.step.isScript === true);
  if (!process) return undefined;
  broken.advance(process, 'lost');
  return failOver(broken, process);
}

/** A worker stops before its commit until another Redis is the primary. */
function strand(broken: Breaks): string | undefined {
  const process = pickBusy(broken, one => one.name.startsWith('worker') && one.step.isCommit === true);
  return process && failOver(broken, process);
}

function failOver({ world }: Breaks, process: Process): string {
  const { random, now } = world;
  process.frozen = 10 + random.below(LONGEST_FREEZE - 10);
  world.failover = { partition: random.pick(PARTITIONS), at: now + random.below(process.frozen) };
  return `${process.name} freezes until a failover`;
}

function lose({ world, cut }: Breaks, isEmpty: boolean): string {
  const partition = world.random.pick(PARTITIONS);
  world.lose(partition, isEmpty);
  cut();
  return `Redis ${partition} ${isEmpty ? 'is empty' : 'loses its tail'}`;
}
