/** `sluice recover`: shows what a restored backup did to each partition, and with --yes ends its halt. */

import {
  committedCount,
  type Damage,
  type Evidence,
  type OldCounters,
  type Verdict,
} from '../recovery/evidence.ts';
import { Recovery } from '../recovery/recover.ts';
import { readConfig } from '../shared/config/config.ts';
import { ConfigurationError } from '../shared/errors.ts';
import { wake } from '../shared/redis/queue.ts';
import { withConnections } from './connections.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { authorOf } from './operator.ts';
import { table } from './table.ts';

export interface RecoverOptions {
  readonly yes?: boolean;
  readonly partition?: string;
  readonly counters?: string;
  readonly operator?: string;
  readonly reason?: string;
  readonly json?: boolean;
}

interface PartitionReport extends Evidence {
  readonly partition: number;
  /** The row of `sluice_operations`, if something was done. */
  readonly operation?: number;
}

const HALTED: ReadonlySet<Verdict> = new Set(['DATABASE_WENT_BACK', 'REDIS_BACKUP_RESTORED', 'NOT_MIGRATED']);

const WORDS: Readonly<Record<Verdict, string>> = {
  IN_ORDER: 'Redis and the database agree',
  NO_STATE: 'Redis holds nothing of it: the next update creates it from the watermark',
  EPOCHS_DIFFER: 'the epochs differ: Sluice reads the live values again; nothing to do',
  REDIS_BEHIND:
    'Redis is behind the database: the next flush aligns the partition and counts a rewind; nothing to do',
  REDIS_BACKUP_RESTORED: 'halted: Redis holds a batch older than the journal, as from an old backup',
  DATABASE_WENT_BACK: 'halted: the database is behind Redis, as after the restore of an older backup',
  NOT_MIGRATED:
    'halted: the database has no watermark row for it; run sluice migrate, then this command again',
};

export async function runRecover(options: RecoverOptions): Promise<ExitCode> {
  const { yes, counters, json } = options;
  const author = authorOf(options, '--yes', yes);
  if (counters !== undefined && !isChoice(counters))
    throw new ConfigurationError(`--counters must be discard or apply, not ${JSON.stringify(counters)}.`);
  const wanted = partitionsOf(options.partition);
  const request = author && { counters, ...author };
  const reports = await withConnections(
    async ({ redis, database, keys, queue }) => {
      const recovery = new Recovery(redis, database, keys);
      const found: PartitionReport[] = [];
      for (const partition of wanted) {
        const done = request && (await recovery.recover(partition, request));
        if (done) await wake(queue, { partition });
        found.push({ partition, ...(done ?? (await recovery.look(partition, counters))) });
      }
      return found;
    },
    { looks: !request },
  );
  console.log(json ? JSON.stringify(reports) : print(reports, counters ?? 'discard'));
  return reports.some(isHalted) ? EXIT.found : EXIT.ok;
}

function isChoice(text: string): text is OldCounters {
  return text === 'discard' || text === 'apply';
}

function isHalted({ verdict, operation }: PartitionReport): boolean {
  return HALTED.has(verdict) && operation === undefined;
}

function partitionsOf(text: string | undefined): number[] {
  const { partitions } = readConfig(process.env).settings;
  const all = Array.from({ length: partitions }, (_, partition) => partition);
  if (text === undefined) return all;
  const wanted = all.filter(partition => String(partition) === text);
  if (wanted.length === 0)
    throw new ConfigurationError(
      `--partition must be a number from 0 to ${partitions - 1}, not ${JSON.stringify(text)}.`,
    );
  return wanted;
}

function print(reports: readonly PartitionReport[], counters: OldCounters): string {
  const rows = reports.map(({ partition, verdict, redis, database }) => [
    partition,
    verdict,
    redis?.sequence ?? '-',
    redis?.token || '-',
    redis ? redis.inFlight : '-',
    redis ? redis.updates - redis.claimed : '-',
    redis ? committedCount(redis) : '-',
    database?.sequence ?? '-',
    database?.updates ?? '?',
    database?.journal ? `${database.journal.oldest} to ${database.journal.newest}` : 'empty',
  ]);
  const head = [
    'partition',
    'verdict',
    'batch',
    'token',
    'in flight',
    'pending',
    'written',
    'watermark',
    'updates',
    'journal',
  ];
  const stories = reports
    .filter(({ verdict, operation }) => verdict !== 'IN_ORDER' || operation !== undefined)
    .map(report => `partition ${report.partition}: ${story(report, counters)}`);
  return [table(head, rows), LEGEND, ...stories].join('\n');
}

const LEGEND =
  'Redis: its last batch, token, updates in flight, updates pending, and updates that it counts as written. Database: watermark, updates, journal.';

function story({ verdict, damage, operation }: PartitionReport, counters: OldCounters): string {
  if (!damage) return WORDS[verdict];
  const deed =
    verdict === 'DATABASE_WENT_BACK'
      ? 'the database is accepted as it is'
      : `old counters are ${counters === 'apply' ? 'applied once more' : 'discarded'}, entries are kept`;
  if (operation === undefined) return `${WORDS[verdict]}. With --yes ${deed}: ${cost(damage)}.`;
  return `recovered (operation ${operation}): ${deed}: ${cost(damage)}, declared in sluice_losses.`;
}

function cost({ kind, updates, isExact }: Damage): string {
  if (isExact) return `${updates} updates ${kind === 'lost' ? 'lost' : 'doubled'} at most`;
  return `updates ${kind}, number unknown: Redis has counted ${updates} since it was last empty`;
}
