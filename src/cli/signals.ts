/**
 * What SIGTERM and SIGINT do. From the first moment on they end the process; a command that has something to finish takes
 * them over meanwhile. Imports nothing, so that nothing is loaded before it.
 */

export type StopSignal = 'SIGTERM' | 'SIGINT';

/** What a shell reports for a program that the signal ended. */
const KILLED_BY: Record<StopSignal, number> = { SIGTERM: 143, SIGINT: 130 };
/** A worker that has not started to flush has stopped in order. */
const WORKER_STOPPED = 0;

type Handler = (signal: StopSignal) => void;

function end(signal: StopSignal): void {
  process.exit(process.argv[2] === 'worker' ? WORKER_STOPPED : KILLED_BY[signal]);
}

let handler: Handler = end;

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => handler(signal));

/** Has both signals go to the handler. @returns what gives them back */
export function onStopSignal(taken: Handler): () => void {
  handler = taken;
  return () => {
    handler = end;
  };
}

/** The same for one signal: the next one ends the process. */
export function onFirstStopSignal(taken: Handler): () => void {
  const giveBack = onStopSignal(signal => {
    giveBack();
    taken(signal);
  });
  return giveBack;
}
