/**
 * Handles SIGTERM and SIGINT. They end the process from the first moment on; a command that has work to
 * finish takes them over meanwhile. Imports nothing, so that nothing is loaded before it.
 */

export type StopSignal = 'SIGTERM' | 'SIGINT';

/** Exit codes that a shell reports for a program that the signal ended. */
const KILLED_BY: Record<StopSignal, number> = { SIGTERM: 143, SIGINT: 130 };
/** Those that serve have stopped in order if they have not started to. */
const SERVING = ['worker', 'serve'];
const STOPPED = 0;

type Handler = (signal: StopSignal) => void;

function end(signal: StopSignal): void {
  process.exit(SERVING.includes(process.argv[2] ?? '') ? STOPPED : KILLED_BY[signal]);
}

let handler: Handler = end;

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => handler(signal));

/** Passes both signals to the handler. @returns a function that gives them back */
export function onStopSignal(taken: Handler): () => void {
  handler = taken;
  return () => {
    handler = end;
  };
}

/** Passes only the first signal to the handler; the next one ends the process. */
export function onFirstStopSignal(taken: Handler): () => void {
  const giveBack = onStopSignal(signal => {
    giveBack();
    taken(signal);
  });
  return giveBack;
}
