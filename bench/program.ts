// Runs one of programs/ as a process: sends its plan, tells it to start, and takes its result. The process
// ends with this one, however this one ends. The other side is programs/serve.ts.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { MEASURED_TYPESCRIPT } from '../scripts/load/typescript.ts';

export type FromProgram<Result> =
  | { type: 'ready' }
  | { type: 'done'; result: Result }
  | { type: 'failed'; message: string };

const stopLimit = 5000;

export class Program<Result> {
  readonly result: Promise<Result>;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, result: Promise<Result>) {
    this.#child = child;
    this.result = result;
  }

  /** Resolves once the program has prepared its plan, including the warm-up. */
  static async start<Plan extends object, Result>(name: string, plan: Plan): Promise<Program<Result>> {
    const child = fork(fileURLToPath(new URL(`./programs/${name}.ts`, import.meta.url)), {
      execArgv: [...MEASURED_TYPESCRIPT],
      serialization: 'advanced',
    });
    let program: Program<Result> | undefined;
    const ready = new Promise<void>(resolveReady => {
      const result = new Promise<Result>((resolve, reject) => {
        child.on('message', (message: FromProgram<Result>) => {
          if (message.type === 'ready') resolveReady();
          else if (message.type === 'done') resolve(message.result);
          else reject(new Error(`${name}: ${message.message}`));
        });
        child.once('exit', code => reject(new Error(`${name} ended with exit code ${code}`)));
      });
      result.catch(() => {});
      program = new Program(child, result);
    });
    child.send(plan);
    await Promise.race([ready, program!.result]);
    return program!;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Tells the program to start, and resolves with its result. */
  go(): Promise<Result> {
    this.#child.send('go');
    return this.result;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    // The process ends when its parent disconnects.
    this.#child.disconnect();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), stopLimit);
    await ended;
    clearTimeout(timer);
  }
}
