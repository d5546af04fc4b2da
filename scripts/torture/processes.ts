/**
 * Two workers, two producers, an HTTP API and its client: started again when they were killed, reported when they
 * end by themselves.
 */
import type { ChildProcess } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Output } from '../load/output.ts';
import { SluiceProcess } from '../load/processes.ts';
import type { Account } from './accounts.ts';
import { type TortureDurability, workerDurability } from './durability.ts';
import { clockEnvironment, Inside, insideArgs } from './inside-channel.ts';
import { ProducerProcess } from './producer.ts';
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

export type Role = 'worker' | 'producer' | 'api';

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

  /** Resolves with the exit code; null if it had to be killed, undefined if none ran. */
  async stop(): Promise<number | null | undefined> {
    const running = this.#leave();
    await running?.stop();
    return running?.child.exitCode;
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

/** How much is sent, and how it is kept. */
interface Sending {
  readonly seed: number;
  readonly durability: TortureDurability;
  /** Callers of each producer. */
  readonly callers: number;
}

export class Processes {
  readonly workers: readonly Slot[];
  readonly producers: readonly Slot[];
  /** `sluice serve`. */
  readonly api: Slot;
  /** All journals so far. */
  readonly journals: string[] = [];
  /** Those among them of clients of the API. */
  readonly journalsOverHttp: string[] = [];
  /** Names of processes that ended by themselves. */
  readonly crashes: string[] = [];
  readonly #stack: Stack;
  readonly #options: Sending;
  readonly #client: Slot;

  constructor(stack: Stack, options: Sending) {
    this.#stack = stack;
    this.#options = options;
    this.workers = [0, 1].map(index => this.#worker(index));
    this.producers = [0, 1].map(index => this.#producer(index));
    const addressFile = join(stack.folder, 'api.address');
    this.api = this.#api(addressFile);
    this.#client = this.#clientOf(addressFile);
  }

  /** All that have connections to the servers. */
  get all(): readonly Slot[] {
    return [...this.workers, ...this.senders];
  }

  /** All that send updates to Redis. */
  get senders(): readonly Slot[] {
    return [...this.producers, this.api];
  }

  /** Starts every process that is not running. */
  ensure(): Promise<void> {
    return this.#ensure([...this.all, this.#client]);
  }

  ensureWorkers(): Promise<void> {
    return this.#ensure(this.workers);
  }

  /** Afterwards no update is sent any more. The client goes first, so that its last requests have an answer. */
  async stopSending(): Promise<void> {
    const producers = Promise.allSettled(this.producers.map(slot => slot.stop()));
    for (const slot of [this.#client, this.api]) if ((await slot.stop()) !== 0) this.crashes.push(slot.name);
    await producers;
  }

  async stop(): Promise<void> {
    await Promise.allSettled([...this.all, this.#client].map(slot => slot.stop()));
  }

  async #ensure(slots: readonly Slot[]): Promise<void> {
    this.crashes.push(...slots.filter(slot => slot.crashed).map(slot => slot.name));
    await Promise.all(slots.map(slot => slot.ensure()));
  }

  #worker(index: number): Slot {
    const account = this.#stack.accounts.workers[index]!;
    const logFile = join(this.#stack.folder, `worker-${index + 1}.log`);
    return new Slot('worker', `worker ${index + 1}`, account, (_, env) =>
      SluiceProcess.start({
        command: 'worker',
        deployment: this.#stack.workers[index]!,
        logFile,
        nodeArgs: insideArgs,
        channel: true,
        settings: { ...this.#settings(account), ...workerDurability(this.#options.durability), ...env },
      }),
    );
  }

  #producer(index: number): Slot {
    const { accounts, folder, producers } = this.#stack;
    const { seed, durability, callers } = this.#options;
    const account = accounts.producers[index]!;
    const file = join(folder, `producer-${index + 1}`);
    return new Slot('producer', `producer ${index + 1}`, account, (incarnation, env) => {
      const journal = `${file}-${incarnation}.journal`;
      this.journals.push(journal);
      const plan = {
        deployment: producers,
        login: accounts.login(account),
        durability,
        callers,
        name: `p${index + 1}.${incarnation}`,
        seed: seed * 1000 + incarnation * 2 + index,
        journal,
      };
      return ProducerProcess.start('producer', plan, `${file}.log`, env);
    });
  }

  /** Each start takes another port and writes it into the file, as a service registry would. */
  #api(addressFile: string): Slot {
    const { accounts, folder, producers } = this.#stack;
    return new Slot('api', 'the HTTP API', accounts.api, async (_, env) => {
      const started = await SluiceProcess.start({
        command: 'serve',
        deployment: producers,
        logFile: join(folder, 'api.log'),
        nodeArgs: insideArgs,
        channel: true,
        settings: {
          ...this.#settings(accounts.api),
          SLUICE_API_PORT: '0',
          SLUICE_DRAIN_MS: '300',
          SLUICE_DURABILITY: this.#options.durability,
          ...env,
        },
      });
      const [, port] = /"port":(\d+).*"API started"/.exec(started.output.said)!;
      writeFileSync(`${addressFile}.new`, port!);
      renameSync(`${addressFile}.new`, addressFile);
      return started;
    });
  }

  /** Not one of `all`: it has no connections to the servers, so its footprint is not compared. */
  #clientOf(addressFile: string): Slot {
    const { accounts, folder, apiKey } = this.#stack;
    const file = join(folder, 'http-client');
    return new Slot('api', 'the HTTP client', accounts.api, (incarnation, env) => {
      const journal = `${file}-${incarnation}.journal`;
      this.journals.push(journal);
      this.journalsOverHttp.push(journal);
      const name = `h${incarnation}`;
      const { seed, callers } = this.#options;
      const plan = {
        ...{ addressFile, apiKey, name, journal },
        seed: seed * 1000 + 500 + incarnation,
        callers: 2 * callers,
      };
      return ProducerProcess.start('client', plan, `${file}.log`, env);
    });
  }

  /** Settings of workers and the API. Live values rotate between the faults, whenever idle partitions are aligned. */
  #settings(account: Account): Record<string, string> {
    return {
      SLUICE_PARTITIONS: String(partitions),
      SLUICE_LIVE_TTL_MS: '5000',
      ...this.#stack.accounts.environment(account),
    };
  }
}
