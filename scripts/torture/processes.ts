/** Two workers and two producers that are started again when they were killed, and noticed when they end by themselves. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WorkerProcess } from '../load/processes.ts';
import { type TortureDurability, workerDurability } from './durability.ts';
import type { ProducerPlan } from './producer-process.ts';
import type { Stack } from './stack.ts';
import { partitions } from './traffic.ts';

const startLimit = 30_000;
const stopLimit = 15_000;
const program = fileURLToPath(new URL('./producer-process.ts', import.meta.url));
const project = fileURLToPath(new URL('../../', import.meta.url));

const children = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

interface Running {
  readonly pid: number;
  readonly gone: boolean;
  kill(): Promise<void>;
  stop(): Promise<void>;
}

class ProducerProcess implements Running {
  readonly pid: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.pid = child.pid!;
  }

  /** Resolves when it asks for updates. */
  static async start(plan: ProducerPlan, logFile: string): Promise<ProducerProcess> {
    const log = openSync(logFile, 'a');
    const command = [process.execPath, '--import', 'tsx', program];
    // The kernel ends it with this process, even one that is stopped; only Linux can do that.
    if (process.platform === 'linux') command.unshift('setpriv', '--pdeathsig', 'KILL');
    const child = spawn(command[0]!, command.slice(1), {
      cwd: project,
      detached: true,
      stdio: ['ignore', log, log, 'ipc'],
    });
    closeSync(log);
    children.add(child);
    child.once('exit', () => children.delete(child));
    child.send(plan);
    const limit = setTimeout(() => child.kill('SIGKILL'), startLimit);
    await Promise.race([once(child, 'message'), once(child, 'exit')]);
    clearTimeout(limit);
    if (!children.has(child)) throw new Error(`a producer did not start; see ${logFile}`);
    return new ProducerProcess(child);
  }

  get gone(): boolean {
    return !children.has(this.#child);
  }

  kill(): Promise<void> {
    return this.#end(() => this.#child.kill('SIGKILL'));
  }

  stop(): Promise<void> {
    return this.#end(() => this.#child.send('stop'));
  }

  async #end(ask: () => void): Promise<void> {
    if (this.gone) return;
    const ended = once(this.#child, 'exit');
    ask();
    const limit = setTimeout(() => this.#child.kill('SIGKILL'), stopLimit);
    await ended;
    clearTimeout(limit);
  }
}

/** A place for one process after the other. */
class Slot {
  readonly name: string;
  readonly #start: (incarnation: number) => Promise<Running>;
  #incarnation = 0;
  #running: Running | undefined;

  constructor(name: string, start: (incarnation: number) => Promise<Running>) {
    this.name = name;
    this.#start = start;
  }

  /** Whether the process ended although nobody had asked it to. */
  get crashed(): boolean {
    return this.#running?.gone ?? false;
  }

  async ensure(): Promise<void> {
    if (this.#running && !this.#running.gone) return;
    this.#running = await this.#start(++this.#incarnation);
  }

  async kill(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.kill();
  }

  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.stop();
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    if (this.#running && !this.#running.gone) process.kill(this.#running.pid, signal);
  }
}

export class Processes {
  readonly workers: readonly Slot[];
  readonly producers: readonly Slot[];
  /** Every journal that was begun. */
  readonly journals: string[] = [];
  /** Processes that ended by themselves, by name. */
  readonly crashes: string[] = [];

  constructor(stack: Stack, seed: number, durability: TortureDurability) {
    const settings = { SLUICE_PARTITIONS: String(partitions), ...workerDurability(durability) };
    this.workers = ['worker 1', 'worker 2'].map(
      (name, index) =>
        new Slot(name, () => {
          const logFile = join(stack.folder, `${name.replace(' ', '-')}.log`);
          return WorkerProcess.start({ place: stack.workers[index]!, logFile, settings });
        }),
    );
    this.producers = ['producer 1', 'producer 2'].map(
      (name, index) =>
        new Slot(name, incarnation => {
          const file = `${name.replace(' ', '-')}`;
          const journal = join(stack.folder, `${file}-${incarnation}.journal`);
          this.journals.push(journal);
          const plan: ProducerPlan = {
            place: stack.producers,
            durability,
            name: `p${index + 1}.${incarnation}`,
            seed: seed * 1000 + incarnation * 2 + index,
            journal,
          };
          return ProducerProcess.start(plan, join(stack.folder, `${file}.log`));
        }),
    );
  }

  /** Starts what is not running. */
  ensure(): Promise<void> {
    return this.#ensure([...this.workers, ...this.producers]);
  }

  ensureWorkers(): Promise<void> {
    return this.#ensure(this.workers);
  }

  async #ensure(slots: readonly Slot[]): Promise<void> {
    this.crashes.push(...slots.filter(slot => slot.crashed).map(slot => slot.name));
    await Promise.all(slots.map(slot => slot.ensure()));
  }

  async stop(): Promise<void> {
    await Promise.allSettled([...this.workers, ...this.producers].map(slot => slot.stop()));
  }
}
