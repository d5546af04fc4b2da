/** How a process that serves takes SIGTERM and SIGINT: the first one asks it to stop, a later one ends it. */
import { EXIT } from './exit.ts';
import { onStopSignal, type StopSignal } from './signals.ts';

/** Two signals within this time are one request, ms: npm repeats a Ctrl-C that the terminal has sent. */
const SAME_REQUEST_MS = 500;

/**
 * Resolves with the first signal, also one during start. A later second one ends the process at once.
 * @param onSecond tells what is left undone
 */
export function stopSignal(onSecond: (signal: StopSignal) => void): Promise<StopSignal> {
  return new Promise(resolve => {
    let askedAt: number | undefined;
    onStopSignal(signal => {
      if (askedAt !== undefined && performance.now() - askedAt > SAME_REQUEST_MS) {
        onSecond(signal);
        process.exit(EXIT.found);
      }
      askedAt ??= performance.now();
      resolve(signal);
    });
  });
}
