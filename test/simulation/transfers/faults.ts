/** What can break in a schedule of transfers. */
import type { Broken, Fault, Process } from '../processes.ts';
import type { Step } from '../steps.ts';
import { Redis } from './redis.ts';
import { PARTITIONS, type World } from './world.ts';

type Scene = Broken<World>;

function pickReady({ world, processes }: Scene, suits: (step: Step) => boolean): Process | undefined {
  const ready = processes.filter(
    ({ step, frozen }) => frozen === 0 && suits(step) && (!step.until || step.until()),
  );
  return ready.length > 0 ? world.random.pick(ready) : undefined;
}

const isBusy = (step: Step) => !step.until || step.name.startsWith('lock');

/** Replicas matter only in schedules that have it. */
export const LOSS: Fault<Scene> = { share: 1, most: 2, happen: loseTail };

export const FAULTS: readonly Fault<Scene>[] = [
  { share: 1, most: 2, happen: kill },
  { share: 1, most: 2, happen: freeze },
  { share: 0.8, most: 2, happen: scene => send(scene, 'lost') },
  { share: 0.8, most: 2, happen: scene => send(scene, 'copied') },
  { share: 1.2, most: 3, happen: forgetIds },
  { share: 1, most: 3, happen: endLive },
  { share: 1.2, most: 4, happen: changeMood },
  { share: 0.4, most: 1, happen: fillRedis },
  LOSS,
  { share: 0.15, most: 1, happen: emptyRedis },
  { share: 0.8, most: 2, happen: backUp },
  { share: 0.5, most: 1, happen: restore },
];

function kill(scene: Scene): string | undefined {
  const process = pickReady(scene, isBusy);
  if (!process) return undefined;
  const { name } = process.step;
  scene.kill(process);
  return `${process.name} is killed before: ${name}`;
}

function freeze(scene: Scene): string | undefined {
  const process = pickReady(scene, isBusy);
  if (!process) return undefined;
  process.frozen = 10 + scene.world.random.below(100);
  return `${process.name} freezes before: ${process.step.name}`;
}

function send(scene: Scene, outcome: 'lost' | 'copied'): string | undefined {
  const isCopied = outcome === 'copied';
  const process = pickReady(scene, step => isBusy(step) && (!isCopied || step.isScript === true));
  if (!process) return undefined;
  scene.advance(process, outcome);
  return outcome;
}

function forgetIds({ world }: Scene): string {
  const partition = world.random.pick(PARTITIONS);
  world.redis[partition]!.trim();
  return `ids of ${partition} end`;
}

function endLive({ world }: Scene): string {
  const partition = world.random.pick(PARTITIONS);
  world.redis[partition]!.live.clear();
  return `live values of ${partition} end`;
}

function changeMood({ world }: Scene): string {
  const { random } = world;
  const partition = random.pick(PARTITIONS);
  const mood = world.moods[partition]!;
  const refusal = random.chance(0.75) ? 'refuses' : 'holds';
  if (random.chance(0.7)) world.setMood(partition, { credits: mood.credits === 'takes' ? refusal : 'takes' });
  else world.setMood(partition, { debits: mood.debits === 'takes' ? 'refuses' : 'takes' });
  return `MySQL ${mood.credits} credits and ${mood.debits} debits of ${partition}`;
}

function fillRedis({ world }: Scene): string {
  const redis = world.redis[world.random.pick(PARTITIONS)]!;
  redis.isFull = !redis.isFull;
  return 'Redis is full';
}

function loseTail({ world }: Scene): string {
  const partition = world.random.pick(PARTITIONS);
  world.loseTail(partition);
  return `Redis ${partition} loses its tail`;
}

function emptyRedis({ world }: Scene): string {
  const partition = world.random.pick(PARTITIONS);
  const empty = new Redis();
  empty.epoch = world.fresh('none');
  world.loseTail(partition, empty);
  return `Redis ${partition} is empty`;
}

function backUp({ world }: Scene): string {
  world.backup = world.tables.copy();
  return 'backup of MySQL';
}

function restore({ world }: Scene): string | undefined {
  if (!world.backup) return undefined;
  world.restore();
  return 'MySQL is restored';
}
