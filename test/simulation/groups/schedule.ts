/** One schedule of the model of groups from its seed: workers take steps in any order, between faults. */
import { Random } from '../random.ts';
import type { GroupBug } from './bugs.ts';
import { type Faults, Servers, Wrong } from './servers.ts';
import { advance, GroupWorker } from './worker.ts';

interface Action {
  readonly name: string;
  readonly run: () => void;
  /** Whether the schedule goes on without it. */
  readonly isFault?: boolean;
}

const MOST_STEPS = 2000;

/** Returns what goes wrong in the schedule of this seed, or undefined. */
export function runGroupSchedule(
  seed: number,
  bug?: GroupBug,
  trace?: (line: string) => void,
): string | undefined {
  const schedule = new Schedule(new Random(seed), bug);
  try {
    schedule.run(trace);
    return undefined;
  } catch (error) {
    if (error instanceof Wrong) return error.message;
    throw error;
  }
}

class Schedule {
  readonly #random: Random;
  readonly #servers: Servers;
  readonly #workers: readonly GroupWorker[];
  /** Updates that come, with their partitions. */
  readonly #coming: [update: string, partition: number][];
  readonly #updates: readonly [update: string, partition: number][];
  /** Wake-ups on their way from producers. */
  readonly #wakeUps: number[] = [];
  /** How often the actor of the last step goes on. */
  readonly #patience: number;

  constructor(random: Random, bug: GroupBug | undefined) {
    this.#random = random;
    const partitions = 2 + random.below(2);
    const updates = 2 + random.below(6);
    this.#updates = Array.from({ length: updates }, (_, at) => [`u${at}`, random.below(partitions)]);
    this.#coming = [...this.#updates];
    const refused = random.chance(0.3) ? [`u${random.below(updates)}`] : [];
    const halted = random.chance(0.15) ? [random.below(partitions)] : [];
    const faults: Faults = {
      kill: random.chance(0.4) ? 1 : 0,
      forget: random.chance(0.4) ? 1 : 0,
      stall: random.chance(0.3) ? 1 : 0,
      lostCommit: random.chance(0.3) ? 1 : 0,
      sweep: random.chance(0.6) ? 2 : 0,
    };
    this.#servers = new Servers(random, partitions, bug, new Set(refused), new Set(halted), faults);
    this.#workers = ['worker-1', 'worker-2'].map(name => new GroupWorker(name, this.#servers));
    this.#patience = random.next();
  }

  run(trace?: (line: string) => void): void {
    let last = '';
    for (let step = 0; step < MOST_STEPS; step++) {
      const actions = this.#actions();
      if (actions.every(({ isFault }) => isFault)) {
        if (this.#workers.some(({ tasks }) => tasks.length > 0))
          throw new Wrong('flushes wait for each other');
        this.#checkEnd();
        return;
      }
      const again = actions.find(({ name }) => name === last);
      const action = again && this.#random.chance(this.#patience) ? again : this.#random.pick(actions);
      last = action.name;
      trace?.(action.name);
      action.run();
    }
    throw new Wrong('does not end');
  }

  #actions(): Action[] {
    const servers = this.#servers;
    const actions: Action[] = [];
    if (this.#coming.length > 0) actions.push({ name: 'update', run: () => this.#accept() });
    if (this.#wakeUps.length > 0)
      actions.push({ name: 'wake-up', run: () => servers.wake('group', this.#wakeUps.shift()!) });
    for (const worker of this.#workers) {
      for (const [id, { holder }] of servers.jobs)
        if (!holder) actions.push({ name: `${worker.name} takes job ${id}`, run: () => worker.takeJob(id) });
      for (const task of [...worker.tasks])
        if (!task.until || task.until())
          actions.push({
            name: `${worker.name} ${task.name}`,
            run: () => {
              if (advance(task)) worker.tasks.splice(worker.tasks.indexOf(task), 1);
            },
          });
      for (const partition of worker.waiting)
        actions.push({
          name: `${worker.name} ends the backoff of ${partition}`,
          run: () => worker.endBackoff(partition),
        });
      actions.push(...this.#faultsOf(worker));
    }
    for (const partition of servers.numbers)
      if (servers.faults.forget > 0 && servers.canForget(partition))
        actions.push({
          name: `Redis forgets the claim of ${partition}`,
          run: () => this.#forget(partition),
          isFault: true,
        });
    return actions;
  }

  *#faultsOf(worker: GroupWorker): Generator<Action> {
    const { faults, jobs, numbers, partitions } = this.#servers;
    if (worker.tasks.length === 0) return;
    if (faults.kill > 0)
      yield { name: `${worker.name} is killed`, run: () => this.#kill(worker), isFault: true };
    if (faults.stall > 0 && jobs.get('group')?.holder)
      yield { name: 'the job of the group is given to another', run: () => this.#stall(), isFault: true };
    for (const partition of numbers) {
      const { pending, flight } = partitions[partition]!;
      if (faults.sweep > 0 && (flight || pending.length > 0) && !worker.isBusy(partition))
        yield {
          name: `${worker.name} sweeps ${partition}`,
          run: () => this.#sweep(worker, partition),
          isFault: true,
        };
    }
  }

  #accept(): void {
    const [update, partition] = this.#coming.shift()!;
    const redis = this.#servers.partitions[partition]!;
    redis.pending.push(update);
    if (redis.armed) return;
    redis.armed = true;
    this.#wakeUps.push(partition);
  }

  #forget(partition: number): void {
    this.#servers.faults.forget--;
    this.#servers.forget(partition);
    // The sweep finds it.
    this.#servers.wake('group', partition);
  }

  /** Its jobs return; the sweep finds what nobody was woken for. */
  #kill(worker: GroupWorker): void {
    const { faults, jobs, numbers } = this.#servers;
    faults.kill--;
    for (const job of jobs.values()) if (worker.tasks.includes(job.holder as never)) job.holder = undefined;
    worker.kill();
    for (const partition of numbers) this.#servers.wake(partition);
  }

  #stall(): void {
    this.#servers.faults.stall--;
    this.#servers.jobs.get('group')!.holder = undefined;
  }

  #sweep(worker: GroupWorker, partition: number): void {
    this.#servers.faults.sweep--;
    worker.sweep(partition);
  }

  #checkEnd(): void {
    const { partitions, halted, counted, quarantined, failedJobs } = this.#servers;
    for (const [update, partition] of this.#updates) {
      if (halted.has(partition)) {
        if (counted.has(update)) throw new Wrong(`${update} is written although its partition is halted`);
        if (!failedJobs.has(partition))
          throw new Wrong(`no failed job shows that partition ${partition} is halted`);
        continue;
      }
      const { pending, flight } = partitions[partition]!;
      if (pending.length > 0 || flight) throw new Wrong(`partition ${partition} waits, and nobody comes`);
      if (!counted.has(update) && !quarantined.has(update)) throw new Wrong(`${update} is lost`);
    }
    if ([...failedJobs].some(partition => !halted.has(partition)))
      throw new Wrong('a job fails without a reason');
  }
}
