/** What a schedule with a board draws: which name has it, when it is built, and how often something breaks. */
import type { Faults } from '../faults.ts';
import type { Random } from '../random.ts';
import type { Process, Ranked, Steps, World } from '../world.ts';
import type { RankBugs } from './bugs.ts';
import { build, rebuild, stream, writeBeside } from './builder.ts';

/** So many updates of users, half of them spread over this time. */
const MOST_CALLS = 18;
export const SPREAD_MS = 250;

export function drawRanked(choices: Random, now: number, restoring: boolean, bugs: RankBugs): Ranked {
  const kind = choices.chance(0.5) ? 'p' : 'c';
  const isMapped = choices.chance(0.4);
  // A halted partition would be full of them.
  const hasStream = kind === 'c' && !restoring && choices.chance(0.5);
  return {
    kind,
    prefix: kind === 'p' ? 'loyalty:' : 'views:',
    isMapped,
    from: now + (choices.chance(0.7) ? 0 : choices.below(150)),
    // In a mapped table, new keys are noted faster than they are loaded.
    notes: hasStream && isMapped ? 2 : 4,
    page: hasStream ? 3 : 1 + choices.below(2),
    hasStream,
    pauseMs: choices.chance(0.5) ? 4 : 40,
    order: bugs.noQuarantine ? ['t'] : bugs.tableFirst ? ['t', 'q'] : ['q', 't'],
    written: new Map(),
    apart: [],
    bugs,
  };
}

export function callsOf(choices: Random): number {
  return 6 + choices.below(MOST_CALLS - 6);
}

/** Epochs end and builds are cut off more often than in other schedules: each needs many steps. */
export function rankedFaults(faults: Faults, choices: Random): Faults {
  const isLosing = faults.lose > 0 || (faults.backup === 0 && choices.chance(0.4));
  const rare = { full: 0, kill: faults.kill / 2, freeze: faults.freeze / 2 };
  if (!isLosing) return { ...faults, ...rare };
  // A replica with a board that is ready, and without a batch that MySQL has by then.
  return { ...faults, ...rare, lose: 0.005, replicate: 0.01 + 0.03 * choices.next() };
}

/** The actors of a schedule with a board, besides those of every schedule. */
export function rankActors(world: World): Map<string, (me: Process) => Steps<void>> {
  const actors = new Map<string, (me: Process) => Steps<void>>();
  const { ranked, choices } = world;
  if (!ranked) return actors;
  for (const name of ['builder-1', 'builder-2']) actors.set(name, me => build(world, me));
  if (!world.redis.replica && choices.chance(0.5)) actors.set('rebuilder', () => rebuild(world));
  if (ranked.hasStream) actors.set('stream', me => stream(world, me));
  if (ranked.kind === 'c' && ranked.isMapped) actors.set('others', me => writeBeside(world, me));
  return actors;
}
