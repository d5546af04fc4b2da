// Workers, HTTP APIs and producers as processes. They end with this process, however it ends. Each writes its own log file.

import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Output } from './output.ts';
import type { FromProducer, ProducerPlan, PushResult } from './producer-plan.ts';
import { MEASURED_TYPESCRIPT, TYPESCRIPT } from './typescript.ts';

const project = fileURLToPath(new URL('../../', import.meta.url));
const producerProgram = relative(project, fileURLToPath(new URL('./producer-process.ts', import.meta.url)));
const startLimit = 30_000;
const stopLimit = 25_000;

const children = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/** Servers, namespace and definitions of the deployment that a process uses. */
export interface Deployment {
  redisUrl: string;
  /** Includes the database. */
  mysqlUrl: string;
  namespace: string;
  /** Path of sluice.config.json. */
  config: string;
}

/** This program's environment, without the caller's settings for Sluice. */
export function ownEnvironment(
  deployment: Deployment,
  settings: Record<string, string> = {},
): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(REDIS|MYSQL|SLUICE)_/.test(name));
  return {
    ...Object.fromEntries(inherited),
    REDIS_URL: deployment.redisUrl,
    MYSQL_URL: deployment.mysqlUrl,
    SLUICE_NAMESPACE: deployment.namespace,
    SLUICE_CONFIG: deployment.config,
    SLUICE_HTTP_PORT: '0',
    ...settings,
  };
}

/** What `sluice COMMAND` logs once it works. */
const started = { worker: '"worker started"', serve: '"API started"', console: '"console started"' } as const;

export interface SluiceOptions {
  command: keyof typeof started;
  deployment: Deployment;
  logFile: string;
  /** The project whose sources it runs; this one by default. */
  folder?: string;
  /** The compiled command line, if the process must not load sources, since their loader takes memory. */
  program?: string;
  /** Options for node, such as --cpu-prof. */
  nodeArgs?: string[];
  settings?: Record<string, string>;
  /** Whether code loaded by `nodeArgs` has an IPC channel to this program. */
  channel?: boolean;
}

export interface ProgramOptions {
  /** What messages call it. */
  readonly name: string;
  /** Of node. */
  readonly args: readonly string[];
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  readonly logFile: string;
  /** Part of what it writes once it works. */
  readonly says: string;
  readonly channel?: boolean;
}

/** `sluice worker`, `sluice serve` or `sluice console`, or a program that works with them. */
export class SluiceProcess {
  readonly pid: number;
  readonly child: ChildProcess;
  readonly output: Output;
  readonly #ended: Promise<void>;

  private constructor(child: ChildProcess, output: Output, ended: Promise<void>) {
    this.child = child;
    this.pid = child.pid!;
    this.output = output;
    this.#ended = ended;
  }

  /** Resolves once the worker takes jobs, or the API takes requests. */
  static start(options: SluiceOptions): Promise<SluiceProcess> {
    const { command, deployment, logFile, folder = project, nodeArgs = [], settings, channel } = options;
    const program = options.program ? [options.program] : [...TYPESCRIPT, 'src/cli/main.ts'];
    return SluiceProcess.startProgram({
      name: `sluice ${command}`,
      args: [...nodeArgs, ...program, command],
      folder,
      env: ownEnvironment(deployment, settings),
      logFile,
      says: started[command],
      ...(channel && { channel }),
    });
  }

  /** Starts node with these arguments, and resolves once it says that it works. */
  static async startProgram({
    name,
    args,
    folder,
    env,
    logFile,
    says,
    channel,
  }: ProgramOptions): Promise<SluiceProcess> {
    const command = [process.execPath, ...args];
    // On Linux the kernel kills the process when this process dies, even by SIGKILL.
    if (process.platform === 'linux') command.unshift('setpriv', '--pdeathsig', 'KILL');
    const child = spawn(command[0]!, command.slice(1), {
      cwd: folder,
      env,
      // Its own process group: Ctrl-C reaches this program, which then stops its processes in order.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', ...(channel ? (['ipc'] as const) : [])],
    });
    children.add(child);
    const ended = once(child, 'exit').then(() => void children.delete(child));
    const output = new Output(child, logFile);
    await once(child, 'spawn');
    const deadline = Date.now() + startLimit;
    while (!output.said.includes(says)) {
      if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
        child.kill('SIGKILL');
        throw new Error(`${name} did not start; it said:\n${output.said.slice(-3000) || '(nothing)'}`);
      }
      await delay(20);
    }
    return new SluiceProcess(child, output, ended);
  }

  get gone(): boolean {
    return !children.has(this.child);
  }

  /** Lets the process finish what it has begun, and kills it if it does not. */
  async stop(): Promise<void> {
    if (this.gone) return;
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), stopLimit);
    await this.#ended;
    clearTimeout(timer);
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.#ended;
  }

  /** Waits for its end. @returns null after a signal */
  async exitCode(): Promise<number | null> {
    await this.#ended;
    return this.child.exitCode;
  }
}

/** A producer process: it connects at once, and pushes when it is told to. */
export class ProducerProcess {
  /** Number of updates acknowledged so far. */
  acknowledged = 0;
  /** Settles when the pushing ends. */
  readonly result: Promise<PushResult>;
  readonly #child: ChildProcess;
  readonly #ready: Promise<void>;

  /** @param folder the project whose sources it runs */
  constructor(plan: ProducerPlan, nodeArgs: string[] = [], folder: string = project) {
    this.#child = fork(join(folder, producerProgram), {
      cwd: folder,
      execArgv: [...MEASURED_TYPESCRIPT, ...nodeArgs],
      serialization: 'advanced',
      detached: true,
    });
    children.add(this.#child);
    let isReady: () => void;
    this.#ready = new Promise(resolve => {
      isReady = resolve;
    });
    this.result = new Promise((resolve, reject) => {
      this.#child.on('message', (message: FromProducer) => {
        if (message.type === 'ready') isReady();
        else if (message.type === 'progress') this.acknowledged = message.acknowledged;
        else if (message.type === 'failed') reject(new Error(message.message));
        else {
          this.acknowledged = message.result.acknowledged;
          resolve(message.result);
        }
      });
      this.#child.on('exit', (code, signal) => {
        children.delete(this.#child);
        reject(new Error(`the producer process ended: ${signal ?? `exit code ${code}`}`));
      });
    });
    this.result.catch(() => {});
    this.#child.send(plan);
  }

  get pid(): number {
    return this.#child.pid!;
  }

  ready(): Promise<unknown> {
    return Promise.race([this.#ready, this.result]);
  }

  push(): void {
    this.#child.send('push');
  }

  /** The process ends when its parent disconnects. */
  async stop(): Promise<void> {
    if (!children.has(this.#child)) return;
    const ended = once(this.#child, 'exit');
    if (this.#child.connected) this.#child.disconnect();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 5000);
    await ended;
    clearTimeout(timer);
  }
}
