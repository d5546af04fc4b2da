/** One schedule from its seed: draws the faults, runs the actors under them, then lets everything drain. */
import type { Bugs } from './bugs.ts';
import { Checker, fail, Violation } from './checker.ts';
import { drawFaults } from './faults.ts';
import { openMysql } from './mysql.ts';
import { operate } from './operator.ts';
import { produce } from './producer.ts';
import { type Audit, amend } from './quarantine-operator.ts';
import { Random } from './random.ts';
import type { RankBugs } from './ranks/bugs.ts';
import { callsOf, drawRanked, rankActors, rankedFaults, SPREAD_MS } from './ranks/draw.ts';
import { isExact } from './ranks/scripts.ts';
import { emptyRedis } from './redis.ts';
import { Scheduler } from './scheduler.ts';
import { Users } from './users.ts';
import { work } from './worker.ts';
import type { Process, Steps, World } from './world.ts';

export interface Options {
  readonly bugs?: Bugs;
  readonly trace?: (line: string) => void;
  /** Skips schedules without a restore. */
  readonly restoresOnly?: boolean;
  /** Lets workers build a board for one of the names, with these bugs. */
  readonly ranked?: RankBugs;
}

const STORMY_STEPS = 110;
/** A few schedules are longer, for faults that take many steps to show. */
const LONG_STEPS = 300;
const CALM_STEPS = 1500;
/** Backups, their restore and the recovery take about so long, and updates must arrive all the while. */
const RESTORE_MS = 600;
const LIVE_TTL_MS = 40;
/** Makes the seed of the operators' choices. */
const CHOICES = 0x5eed;

/** Returns what goes wrong in the schedule of this seed, or undefined. */
export function runSchedule(seed: number, options: Options = {}): string | undefined {
  const random = new Random(seed);
  const choices = new Random(seed ^ CHOICES);
  const drawn = drawFaults(random);
  const faults = options.ranked ? rankedFaults(drawn, choices) : drawn;
  const losing = faults.lose > 0;
  const restoring = faults.restoreMysql > 0 || faults.restoreRedis > 0;
  if (options.restoresOnly && !restoring) return undefined;
  const checker = new Checker();
  const amending = !restoring && choices.chance(options.ranked ? 0.4 : 0.1);
  const world: World = {
    now: 1000,
    random,
    choices,
    amending,
    refusing: true,
    // Values from a replica must be spent before they expire.
    liveTtlMs: losing && choices.chance(0.5) ? 10 * LIVE_TTL_MS : LIVE_TTL_MS,
    redis: { data: emptyRedis(), replica: losing ? emptyRedis() : undefined, time: 0, run: 1, full: false },
    mysql: openMysql(),
    bugs: options.bugs ?? {},
    // Without the barrier, a lost claim ends the epoch.
    barrier: random.chance(0.5) && !(options.ranked && choices.chance(0.5)),
    ranked: options.ranked && drawRanked(choices, 1000, restoring, options.ranked),
    checker,
    journalBatches: restoring ? 1 + random.below(3) : Number.POSITIVE_INFINITY,
    calm: false,
    restored: false,
    tokens: 0,
    counted: { rewinds: 0, unheard: 0 },
  };
  const users = options.ranked
    ? new Users(world, callsOf(choices), restoring ? RESTORE_MS : SPREAD_MS)
    : restoring
      ? new Users(world, 12 + random.below(12), RESTORE_MS)
      : new Users(world, 4 + random.below(12), 0);
  checker.users = users;
  const starts = new Map<string, (me: Process) => Steps<void>>();
  for (const name of ['producer-1', 'producer-2']) starts.set(name, me => produce(world, me, users));
  for (const name of ['worker-1', 'worker-2']) starts.set(name, me => work(world, me));
  if (restoring) for (const name of ['operator-1', 'operator-2']) starts.set(name, me => operate(world, me));
  const audit: Audit = [];
  if (amending)
    for (const name of ['operator-1', 'operator-2']) starts.set(name, me => amend(world, me, audit));
  for (const [name, start] of rankActors(world)) starts.set(name, start);
  const scheduler = new Scheduler(world, users, faults, starts, options.trace);
  options.trace?.(`faults ${JSON.stringify(faults)}${world.barrier ? ', claim barrier' : ''}`);
  try {
    const steps = restoring || amending || world.ranked || random.chance(0.15) ? LONG_STEPS : STORMY_STEPS;
    for (let step = 0; step < steps; step++) scheduler.step();
    scheduler.calm();
    options.trace?.('faults end');
    drain(world, users, scheduler);
    checker.checkEnd(world);
    return undefined;
  } catch (error) {
    if (error instanceof Violation) return error.message;
    throw error;
  }
}

/** Progress: without faults, everything reaches MySQL within a bounded number of steps. */
function drain(world: World, users: Users, scheduler: Scheduler): void {
  // Two operators also take steps, and everything waits until one of them is done.
  const steps = CALM_STEPS * (world.restored ? 2 : 1) * (world.ranked ? 3 : 1);
  for (let step = 0; step < steps; step++) {
    scheduler.step();
    if (step % 8 !== 0 || users.queue.length > 0 || world.checker.restores.halted) continue;
    const { state } = world.redis.data;
    const asked = users.asked.some(({ state: of }) => of === 'sent');
    if (
      !asked &&
      (!world.ranked || isExact(world)) &&
      (!state ||
        (state.token === '' && state.popped === state.pushed && state.entryNext === state.entryClaimed))
    )
      return;
  }
  fail(`not drained ${steps} steps after the faults ended`);
}
