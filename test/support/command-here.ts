/**
 * The `sluice` command in this process. A process of its own takes 0.8 s of a core, nearly all of it to load the same code
 * again. `cli-process.test.ts` shows that both ways answer alike.
 */
import { format } from 'node:util';
import { runProgram } from '../../src/cli/program.ts';

type Stream = 'stdout' | 'stderr';

const OURS = /^(REDIS|MYSQL|SLUICE)_/;

/** Whether a command runs now. Environment and output are the whole process's, so there can be only one. */
let isBusy = false;

export const isFree = () => !isBusy;

/** Collects what is written; the second function ends that. */
function collect(stream: Stream, method: 'log' | 'error'): [text: () => string, end: () => void] {
  let text = '';
  const write = process[stream].write;
  const print = console[method];
  const listeners = process[stream].listeners('error') as (() => void)[];
  process[stream].write = ((chunk: string | Uint8Array, ...rest: unknown[]) => {
    text += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
    const done = rest.at(-1);
    if (typeof done === 'function') done();
    return true;
  }) as typeof write;
  console[method] = (...said: unknown[]) => {
    text += `${format(...said)}\n`;
  };
  return [
    () => text,
    () => {
      process[stream].write = write;
      console[method] = print;
      // A command's log listens until its process ends.
      for (const listener of process[stream].listeners('error') as (() => void)[])
        if (!listeners.includes(listener)) process[stream].removeListener('error', listener);
    },
  ];
}

/** Gives the command these variables and no others of Sluice; the result gives back those from before. */
function enter(env: Record<string, string>): () => void {
  const before = Object.entries(process.env).filter(([name]) => OURS.test(name));
  const leave = () => {
    for (const name of Object.keys(process.env)) if (OURS.test(name)) delete process.env[name];
  };
  leave();
  Object.assign(process.env, env);
  return () => {
    leave();
    Object.assign(process.env, Object.fromEntries(before));
  };
}

/** Runs `sluice ARGS` to its end. */
export async function sluiceHere(args: readonly string[], env: Record<string, string>) {
  if (isBusy) throw new Error('another command runs in this process');
  isBusy = true;
  const leave = enter(env);
  const [stdout, endStdout] = collect('stdout', 'log');
  const [stderr, endStderr] = collect('stderr', 'error');
  try {
    const code: number | null = await runProgram(args);
    return { code, stdout: stdout(), stderr: stderr() };
  } finally {
    endStdout();
    endStderr();
    leave();
    isBusy = false;
  }
}
