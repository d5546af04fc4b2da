/** What can break in a schedule of holds. */
import { type Broken, type Fault, freeze, kill, send } from '../processes.ts';
import { HOLDS } from './record.ts';
import { Redis } from './redis.ts';
import type { World } from './world.ts';

type Holds = Broken<World>;

/** Replicas matter only in schedules that have it. */
export const LOSS: Fault<Holds> = { share: 1, most: 2, happen: loseTail };

export const FAULTS: readonly Fault<Holds>[] = [
  { share: 1, most: 2, happen: broken => kill(broken) },
  { share: 1, most: 2, happen: broken => freeze(broken) },
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

/** All workers, and one of them before its acknowledgement. */
function stall({ world, processes }: Holds): string | undefined {
  if (!processes.some(({ step }) => step.name === 'ack')) return undefined;
  const frozen = 20 + world.random.below(60);
  for (const process of processes) if (process.name.startsWith('worker')) process.frozen = frozen;
  return 'the workers freeze before an acknowledgement';
}

function forgetIds({ world }: Holds): string {
  world.redis.trim();
  return 'ids end';
}

function endLive({ world: { random, redis } }: Holds): string {
  const field = random.pick(['account', ...HOLDS]);
  redis.endLive([field]);
  return `the live value of ${field} ends`;
}

function rotate({ world }: Holds): string {
  world.redis.rotate();
  return 'live values rotate';
}

function changeMood({ world }: Holds): string {
  if (world.mood !== 'takes') world.mood = 'takes';
  else world.mood = world.random.chance(0.6) ? 'refuses' : 'holds';
  return `MySQL ${world.mood} entries`;
}

function turnClock({ world: { random, redis } }: Holds): string {
  redis.clock += random.below(120) - 80;
  return `the clock says ${redis.clock}`;
}

function fillRedis({ world: { redis } }: Holds): string {
  redis.isFull = !redis.isFull;
  return redis.isFull ? 'Redis is full' : 'Redis has room';
}

function loseTail({ world, processes }: Holds): string {
  world.loseTail();
  // Users may be back before workers, who would notice.
  const frozen = world.random.below(60);
  for (const process of processes) if (/^(worker|aligner)/.test(process.name)) process.frozen = frozen;
  return 'Redis loses its tail';
}

function emptyRedis({ world }: Holds): string {
  const empty = new Redis(world.bug);
  empty.epoch = `none${world.newNumber()}`;
  world.loseTail(empty);
  return 'Redis is empty';
}

function backUp({ world }: Holds): string {
  world.backup = world.tables.copy();
  return 'backup of MySQL';
}

function restore({ world, processes }: Holds): string | undefined {
  if (!world.backup) return undefined;
  world.restore();
  // Some workers are slow to come back.
  const frozen = world.random.below(40);
  for (const process of processes) if (process.name === 'worker-2') process.frozen = frozen;
  return 'MySQL is restored';
}
