/** `sluice drain`: waits until nothing is pending or in flight. */
import { pause } from '../shared/clock.ts';
import { ConfigurationError } from '../shared/errors.ts';
import { withConnections } from './connections.ts';
import { EXIT, type ExitCode } from './exit.ts';

const POLL_MS = 100;

export async function runDrain(options: { timeout: string; json?: boolean }): Promise<ExitCode> {
  // Number('') is 0.
  const timeout = options.timeout.trim() === '' ? Number.NaN : Number(options.timeout);
  if (!(timeout >= 0 && timeout < Number.POSITIVE_INFINITY))
    throw new ConfigurationError(
      `--timeout must be a number of seconds, not ${JSON.stringify(options.timeout)}.`,
    );
  return withConnections(
    async ({ inspector }) => {
      const end = performance.now() + timeout * 1000;
      for (let last = -1; ; ) {
        const partitions = await inspector.all();
        const left = partitions.reduce((sum, status) => sum + status.pendingUpdates + status.inFlight, 0);
        const busy = partitions.filter(status => status.pendingUpdates > 0 || status.token !== '').length;
        if (busy === 0) {
          console.log(options.json ? '{"drained":true,"left":0}' : 'drained');
          return EXIT.ok;
        }
        if (performance.now() >= end) {
          if (options.json) console.log(JSON.stringify({ drained: false, left }));
          console.error(
            `sluice: after ${timeout} s, ${left} updates of ${busy} partitions are not in the database; check with "sluice health --ready" that workers can flush, then drain again`,
          );
          return EXIT.found;
        }
        if (left !== last) console.error(`${left} updates left in ${busy} partitions`);
        last = left;
        await pause(POLL_MS);
      }
    },
    { looks: true },
  );
}
