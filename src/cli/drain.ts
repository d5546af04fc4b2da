/** `sluice drain`: waits until nothing is pending or in flight, and no transfer is in transit. */
import { pause } from '../shared/clock.ts';
import { ConfigurationError } from '../shared/errors.ts';
import type { PartitionStatus } from '../shared/redis/inspect.ts';
import { readWaitingTransfers } from '../shared/updates/waiting-transfers.ts';
import { type Connections, withConnections } from './connections.ts';
import { EXIT, type ExitCode } from './exit.ts';

const POLL_MS = 100;

/** What has not reached its place. */
interface Left {
  /** Updates that only Redis has. */
  readonly updates: number;
  /** Partitions with such updates. */
  readonly busy: number;
  /** Transfers that workers drive. */
  readonly inTransit: number;
  /** Transfers that wait for an operator. */
  readonly aside: number;
}

export async function runDrain(options: { timeout: string; json?: boolean }): Promise<ExitCode> {
  // Number('') is 0.
  const timeout = options.timeout.trim() === '' ? Number.NaN : Number(options.timeout);
  if (!(timeout >= 0 && timeout < Number.POSITIVE_INFINITY))
    throw new ConfigurationError(
      `--timeout must be a number of seconds, not ${JSON.stringify(options.timeout)}.`,
    );
  return withConnections(
    async open => {
      const end = performance.now() + timeout * 1000;
      for (let last = ''; ; ) {
        const left = await look(open);
        const drained = left.busy === 0 && left.inTransit === 0;
        if (drained || performance.now() >= end) {
          if (options.json) console.log(json(left, drained));
          return drained ? reportDrained(left, options.json) : reportLate(left, timeout);
        }
        const line = progress(left);
        if (line !== last) console.error(line);
        last = line;
        await pause(POLL_MS);
      }
    },
    { looks: true },
  );
}

/**
 * Redis is read before MySQL, and once more if MySQL has no transfer in transit. A debit moves from Redis to
 * MySQL and its credit back to Redis, so a single look at each could miss it.
 */
async function look({ inspector, database }: Connections): Promise<Left> {
  const before = inRedis(await inspector.all());
  const waiting = await database.session(readWaitingTransfers);
  const sum = (of: 'inTransit' | 'aside') => waiting.reduce((total, program) => total + program[of], 0);
  const transfers = { inTransit: sum('inTransit'), aside: sum('aside') };
  if (before.busy > 0 || transfers.inTransit > 0) return { ...before, ...transfers };
  return { ...inRedis(await inspector.all()), ...transfers };
}

function inRedis(partitions: readonly PartitionStatus[]): Pick<Left, 'updates' | 'busy'> {
  return {
    updates: partitions.reduce((sum, status) => sum + status.pendingUpdates + status.inFlight, 0),
    busy: partitions.filter(status => status.pendingUpdates > 0 || status.token !== '').length,
  };
}

function json({ updates, inTransit, aside }: Left, drained: boolean): string {
  return JSON.stringify({ drained, left: updates, inTransit, aside });
}

function progress({ updates, busy, inTransit }: Left): string {
  const transfers = inTransit > 0 ? `, ${inTransit} transfers in transit` : '';
  return `${updates} updates left in ${busy} partitions${transfers}`;
}

function reportDrained({ aside }: Left, asJson: boolean | undefined): ExitCode {
  if (!asJson) console.log('drained');
  if (aside === 0) return EXIT.ok;
  console.error(
    `sluice: ${aside} transfers are aside: the database refuses their credits, and they wait for an operator; see sluice transfers list --state aside`,
  );
  return EXIT.found;
}

function reportLate({ updates, busy, inTransit }: Left, timeout: number): ExitCode {
  const parts = [
    ...(busy > 0 ? [`${updates} updates of ${busy} partitions are not in the database`] : []),
    ...(inTransit > 0 ? [`${inTransit} transfers are in transit`] : []),
  ];
  console.error(
    `sluice: after ${timeout} s, ${parts.join(' and ')}; check with "sluice health --ready" that workers can flush, then drain again`,
  );
  return EXIT.found;
}
