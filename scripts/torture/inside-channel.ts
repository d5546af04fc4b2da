/** The torture's side of inside.ts: starts a process with it, and sends it requests. */

import type { ChildProcess } from 'node:child_process';
import { TYPESCRIPT } from '../load/typescript.ts';
import { HUNG_MS } from './hung.ts';
import type { Answer, Asked, Question } from './inside.ts';

/** Options for node. */
export const insideArgs = [
  '--expose-gc',
  ...TYPESCRIPT,
  ...['--import', new URL('./inside.ts', import.meta.url).href],
];

/** Environment of a process whose wall clock is wrong from the start. */
export function clockEnvironment(shiftMs: number): Record<string, string> {
  return shiftMs === 0 ? {} : { TORTURE_CLOCK_SHIFT_MS: String(shiftMs) };
}

export class Inside {
  readonly #child: ChildProcess;
  #questions = 0;

  /** @param child was started with the options above and an IPC channel */
  constructor(child: ChildProcess) {
    this.#child = child;
    child.setMaxListeners(50);
    // The process may end while it is asked; the caller notices that.
    child.on('error', () => {});
  }

  /** Resolves with undefined if the process ends first. */
  ask(question: Question): Promise<number | undefined> {
    const id = ++this.#questions;
    return new Promise((resolve, reject) => {
      const end = (answer: number | undefined) => {
        clearTimeout(timer);
        this.#child.off('message', hear);
        this.#child.off('exit', gone);
        resolve(answer);
      };
      const hear = (message: unknown) => {
        const said = message as Partial<Answer>;
        if (said.id === id) end(said.answer);
      };
      const gone = () => end(undefined);
      const timer = setTimeout(() => {
        end(undefined);
        reject(new Error(`process ${this.#child.pid} does not answer`));
      }, HUNG_MS);
      this.#child.on('message', hear);
      this.#child.on('exit', gone);
      if (!this.#child.connected) return gone();
      this.#child.send({ ...question, id } satisfies Asked);
    });
  }
}
