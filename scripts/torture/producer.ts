/** The torture's side of a producer or a client of the API: starts, stops and kills the process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Output } from '../load/output.ts';
import type { ClientPlan } from './http-caller.ts';
import { HUNG_MS } from './hung.ts';
import { insideArgs } from './inside-channel.ts';
import type { ProducerPlan } from './producer-process.ts';

const programs = {
  producer: fileURLToPath(new URL('./producer-process.ts', import.meta.url)),
  client: fileURLToPath(new URL('./http-client.ts', import.meta.url)),
} as const;
interface Plans {
  producer: ProducerPlan;
  client: ClientPlan;
}
const project = fileURLToPath(new URL('../../', import.meta.url));

const children = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

export class ProducerProcess {
  readonly pid: number;
  readonly child: ChildProcess;
  readonly output: Output;

  private constructor(child: ChildProcess, output: Output) {
    this.child = child;
    this.pid = child.pid!;
    this.output = output;
  }

  /** Resolves once the process sends updates. */
  static async start<Kind extends keyof Plans>(
    kind: Kind,
    plan: Plans[Kind],
    logFile: string,
    env: Record<string, string>,
  ): Promise<ProducerProcess> {
    const command = [process.execPath, ...insideArgs, programs[kind], JSON.stringify(plan)];
    // On Linux the kernel kills the process when this process dies, even if it is stopped.
    if (process.platform === 'linux') command.unshift('setpriv', '--pdeathsig', 'KILL');
    const child = spawn(command[0]!, command.slice(1), {
      cwd: project,
      env: { ...process.env, ...env },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    children.add(child);
    child.once('exit', () => children.delete(child));
    const output = new Output(child, logFile);
    let isReady = false;
    child.on('message', message => {
      isReady ||= message === 'ready';
    });
    const limit = performance.now() + HUNG_MS;
    while (!isReady) {
      if (performance.now() > limit) child.kill('SIGKILL');
      if (!children.has(child)) throw new Error(`a ${kind} did not start; see ${logFile}`);
      await delay(20);
    }
    return new ProducerProcess(child, output);
  }

  get gone(): boolean {
    return !children.has(this.child);
  }

  kill(): Promise<void> {
    return this.#end(() => this.child.kill('SIGKILL'));
  }

  stop(): Promise<void> {
    return this.#end(() => this.child.send('stop'));
  }

  async #end(ask: () => void): Promise<void> {
    if (this.gone) return;
    const ended = once(this.child, 'exit');
    ask();
    const limit = setTimeout(() => this.child.kill('SIGKILL'), HUNG_MS);
    await ended;
    clearTimeout(limit);
  }
}
