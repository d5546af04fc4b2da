/** The folder of a run that a person started, and how to undo what it began. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Undoes the steps in reverse order; a failure does not stop the others. */
export async function undoAll(undo: (() => unknown)[]): Promise<void> {
  let failure: unknown;
  for (const step of undo.splice(0).reverse()) {
    try {
      await step();
    } catch (error) {
      failure ??= error;
    }
  }
  if (failure) throw failure;
}

/** Creates this run's folder in `runs`, and removes those that finished runs left with their logs. */
export function makeFolder(runs: string): string {
  mkdirSync(runs, { recursive: true });
  for (const name of readdirSync(runs)) {
    const pid = Number(/^run-(\d+)$/.exec(name)?.[1]);
    if (pid && !isRunning(pid)) rmSync(join(runs, name), { recursive: true, force: true });
  }
  const folder = join(runs, `run-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Whether there is a process with this number. */
export function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
