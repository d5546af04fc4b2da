/** What can break in a schedule of values. */
import { type Broken, type Fault, freeze, kill, send } from '../processes.ts';
import { ITEMS, type Item } from './kept.ts';
import type { World } from './world.ts';

/** What a fault of this model breaks. */
export interface Breaks extends Broken<World> {
  /** Connections end, with the calls that are still on them. */
  cut(): void;
}

export type ValueFault = Pick<Fault<Breaks>, 'most' | 'happen'>;

/** Replicas matter only in schedules that have it. */
export const LOSS: ValueFault = { most: 2, happen: loseTail };
/** Not with a loss, unless clocks are bad: the versions of a clock that went back are ahead of it. */
export const CLOCK: ValueFault = { most: 2, happen: turnClockBack };

export const FAULTS: readonly ValueFault[] = [
  { most: 2, happen: broken => kill(broken) },
  { most: 2, happen: broken => freeze(broken) },
  { most: 2, happen: broken => send(broken, 'lost') },
  { most: 2, happen: broken => send(broken, 'copied') },
  { most: 3, happen: endLive },
  { most: 5, happen: changeMood },
  LOSS,
  CLOCK,
];

function endLive({ world: { random, redis } }: Breaks): string {
  const item = random.chance(0.5) ? random.pick(ITEMS) : undefined;
  if (item) redis.live.delete(item);
  else redis.live.clear();
  return `live values end: ${item ?? 'all'}`;
}

function changeMood({ world: { random, moods } }: Breaks): string {
  const item: Item = random.pick(ITEMS);
  if (moods[item] !== 'takes') moods[item] = 'takes';
  else moods[item] = random.chance(0.5) ? 'refuses' : 'holds';
  return `MySQL ${moods[item]} ${item}`;
}

function loseTail({ world, cut }: Breaks): string {
  world.loseTail();
  cut();
  return 'Redis loses its tail';
}

function turnClockBack({ world: { random, redis } }: Breaks): string {
  redis.clock -= random.below(1000);
  return 'the clock goes back';
}
