/**
 * Two workers and two producers: started again when they were killed, reported when they end by themselves.
 */
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { Output } from '../load/output.ts';
import { WorkerProcess } from '../load/processes.ts';
import type { Account } from './accounts.ts';
import { type TortureDurability, workerDurability } from './durability.ts';
import { clockEnvironment, Inside, insideArgs } from './inside-channel.ts';
import { ProducerProcess } from './producer.ts';
import type { ProducerPlan } from './producer-process.ts';
import type { Stack } from './stack.ts';
import { partitions } from './traffic.ts';

interface Running {
  readonly pid: number;
  readonly child: ChildProcess;
  readonly output: Output;
  readonly gone: boolean;
  kill(): Promise<void>;
  stop(): Promise<void>;
}

export type Role = 'worker' | 'producer';

/** Additional environment of the process. */
type Start = (incarnation: number, env: Record<string, string>) => Promise<Running>;

/** Holds one process after another. */
export class Slot {
  readonly name: string;
  readonly role: Role;
  readonly account: Account;
  readonly #start: Start;
  #incarnation = 0;
  #clockShiftMs = 0;
  #running: Running | undefined;
  #inside: Inside | undefined;

  constructor(role: Role, name: string, account: Account, start: Start) {
    this.role = role;
    this.name = name;
    this.account = account;
    this.#start = start;
  }

  /** Whether the process ended although nobody asked it to. */
  get crashed(): boolean {
    return this.#running?.gone ?? false;
  }

  /** Undefined if none runs. */
  get pid(): number | undefined {
    return this.#running?.gone === false ? this.#running.pid : undefined;
  }

  /** @throws if none runs */
  get inside(): Inside {
    return present(this.#inside, this.name);
  }

  /** @throws if none runs */
  get output(): Output {
    return present(this.#running, this.name).output;
  }

  async ensure(): Promise<void> {
    if (this.#running && !this.#running.gone) return;
    this.#running = await this.#start(++this.#incarnation, clockEnvironment(this.#clockShiftMs));
    this.#inside = new Inside(this.#running.child);
  }

  /** Shifts the wall clock of the running process and of its successors. */
  async setClock(shiftMs: number): Promise<void> {
    this.#clockShiftMs = shiftMs;
    await this.#inside?.ask({ ask: 'clock', shiftMs });
  }

  async kill(): Promise<void> {
    await this.#leave()?.kill();
  }

  async stop(): Promise<void> {
    await this.#leave()?.stop();
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    if (this.#running && !this.#running.gone) process.kill(this.#running.pid, signal);
  }

  #leave(): Running | undefined {
    const running = this.#running;
    this.#running = undefined;
    this.#inside = undefined;
    return running;
  }
}

function present<Thing>(thing: Thing | undefined, name: string): Thing {
  if (!thing) throw new Error(`${name} does not run`);
  return thing;
}

export class Processes {
  readonly workers: readonly Slot[];
  readonly producers: readonly Slot[];
  /** All journals so far. */
  readonly journals: string[] = [];
  /** Names of processes that ended by themselves. */
  readonly crashes: string[] = [];

  constructor(stack: Stack, seed: number, durability: TortureDurability) {
    const { accounts } = stack;
    // Live values rotate between the faults, whenever idle partitions are aligned.
    const settings = {
      SLUICE_PARTITIONS: String(partitions),
      SLUICE_LIVE_TTL_MS: '5000',
      ...workerDurability(durability),
    };
    this.workers = [0, 1].map(index => {
      const account = accounts.workers[index]!;
      const logFile = join(stack.folder, `worker-${index + 1}.log`);
      return new Slot('worker', `worker ${index + 1}`, account, (_, env) =>
        WorkerProcess.start({
          deployment: stack.workers[index]!,
          logFile,
          nodeArgs: insideArgs,
          channel: true,
          settings: { ...settings, ...env, ...accounts.environment(account) },
        }),
      );
    });
    this.producers = [0, 1].map(index => {
      const account = accounts.producers[index]!;
      const file = join(stack.folder, `producer-${index + 1}`);
      return new Slot('producer', `producer ${index + 1}`, account, (incarnation, env) => {
        const journal = `${file}-${incarnation}.journal`;
        this.journals.push(journal);
        const plan: ProducerPlan = {
          deployment: stack.producers,
          login: accounts.login(account),
          durability,
          name: `p${index + 1}.${incarnation}`,
          seed: seed * 1000 + incarnation * 2 + index,
          journal,
        };
        return ProducerProcess.start(plan, `${file}.log`, env);
      });
    });
  }

  get all(): readonly Slot[] {
    return [...this.workers, ...this.producers];
  }

  /** Starts every process that is not running. */
  ensure(): Promise<void> {
    return this.#ensure(this.all);
  }

  ensureWorkers(): Promise<void> {
    return this.#ensure(this.workers);
  }

  async #ensure(slots: readonly Slot[]): Promise<void> {
    this.crashes.push(...slots.filter(slot => slot.crashed).map(slot => slot.name));
    await Promise.all(slots.map(slot => slot.ensure()));
  }

  async stop(): Promise<void> {
    await Promise.allSettled(this.all.map(slot => slot.stop()));
  }
}
