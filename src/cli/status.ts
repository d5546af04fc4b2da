/** `sluice status`: what each partition holds, the flush jobs, and what is in quarantine. */
import type { PartitionStatus } from '../shared/inspect.ts';
import { type LossKind, readLosses } from '../shared/losses.ts';
import { queryRow } from '../shared/mysql.ts';
import type { Condition } from '../shared/mysql-writable.ts';
import { type Connections, withConnections } from './connections.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { table } from './table.ts';

export interface Status {
  readonly partitions: readonly Pick<
    PartitionStatus,
    'partition' | 'pendingUpdates' | 'pendingKeys' | 'inFlight' | 'lagSeconds' | 'sequence'
  >[];
  readonly queue: {
    readonly waiting: number;
    readonly active: number;
    readonly delayed: number;
    readonly failed: number;
  };
  readonly quarantined: number;
  /** Whether the database takes writes, and why it may not. */
  readonly database: Condition;
  /** Updates since ever, at most: gone with Redis, or counted twice since it forgot their claim. */
  readonly declared: { readonly lost: number; readonly doubled: number };
}

export async function runStatus(options: { json?: boolean }): Promise<ExitCode> {
  const look = async ({ inspector, queue, database, condition }: Connections): Promise<Status> => {
    const partitions = await inspector.all();
    const counts = await queue.getJobCounts('waiting', 'active', 'delayed', 'failed');
    const quarantined = await database.session(connection =>
      queryRow(connection, 'SELECT COUNT(*) AS waiting FROM sluice_quarantine'),
    );
    const losses = await readLosses(database);
    const declared = (kind: LossKind) =>
      losses.filter(loss => loss.kind === kind).reduce((sum, { updates }) => sum + updates, 0);
    return {
      partitions: partitions.map(
        ({ partition, pendingUpdates, pendingKeys, inFlight, lagSeconds, sequence }) => ({
          partition,
          pendingUpdates,
          pendingKeys,
          inFlight,
          lagSeconds,
          sequence,
        }),
      ),
      queue: {
        waiting: counts.waiting ?? 0,
        active: counts.active ?? 0,
        delayed: counts.delayed ?? 0,
        failed: counts.failed ?? 0,
      },
      quarantined: Number(quarantined.waiting),
      database: condition!,
      declared: { lost: declared('lost'), doubled: declared('doubled') },
    };
  };
  const status = await withConnections(look, { looks: true });
  console.log(options.json ? JSON.stringify(status) : print(status));
  return EXIT.ok;
}

function print({ partitions, queue, quarantined, declared }: Status): string {
  const rows = partitions.map(p => [
    p.partition,
    p.pendingUpdates,
    p.pendingKeys,
    p.inFlight,
    p.lagSeconds.toFixed(3),
    p.sequence,
  ]);
  const jobs = Object.entries(queue).map(([state, count]) => `${count} ${state}`);
  return [
    table(['partition', 'pending updates', 'pending keys', 'in flight', 'lag, s', 'sequence'], rows),
    `flush jobs: ${jobs.join(', ')}`,
    `in quarantine: ${quarantined}`,
    `declared since ever: ${declared.lost} updates lost, ${declared.doubled} doubled, at most`,
  ].join('\n');
}
