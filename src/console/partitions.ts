/** The routes of partitions: what each holds, and the evidence of `sluice recover`. */
import * as z from 'zod';
import { RequestError } from '../http/request-error.ts';
import { type Evidence, Sides, type Verdict } from '../recovery/evidence.ts';
import { queryRows } from '../shared/mysql/database.ts';
import { readWatermark } from '../shared/partition/watermark.ts';
import type { PartitionEvidence, PartitionRow, Partitions } from './answers.ts';
import { HALTS } from './halts.ts';
import { type Route, route } from './route.ts';

const COMMITTED = 'SELECT partition_id, updated_at FROM sluice_partitions WHERE sequence > 0';

const params = z.strictObject({
  partition: z
    .string()
    .regex(/^\d{1,5}$/, 'must be a number')
    .transform(Number),
});

export const partitionRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/partitions',
    role: 'viewer',
    shape: {},
    async handle(_, { servers, sampler }) {
      const { inspector, database } = servers();
      const [all, rows] = await Promise.all([
        inspector.all(),
        database.session(connection => queryRows(connection, COMMITTED)),
      ]);
      const committed = new Map(rows.map(row => [Number(row.partition_id), row.updated_at as Date]));
      const halted = new Set(sampler.latest?.halted);
      const body: Partitions = {
        partitions: all.map(
          ({ partition, pendingUpdates, pendingKeys, inFlight, sequence, lagSeconds }): PartitionRow => ({
            ...{ partition, pendingUpdates, pendingKeys, inFlight, lagSeconds },
            sequence: String(sequence),
            committedAt: committed.get(partition)?.toISOString() ?? null,
            halted: halted.has(partition),
          }),
        ),
      };
      return { body };
    },
  }),
  route({
    method: 'GET',
    path: '/api/partitions/{partition}/evidence',
    role: 'viewer',
    shape: { params },
    async handle({ params: { partition } }, { servers }) {
      const { redis, keys, database } = servers();
      if (partition >= keys.partitions)
        throw new RequestError('NOT_FOUND', `There are ${keys.partitions} partitions, from 0.`);
      const sides = new Sides(redis, keys);
      const evidence = await database.session(async connection =>
        sides.look(connection, partition, await readWatermark(connection, partition), 'discard'),
      );
      return { body: shown(partition, evidence) };
    },
  }),
];

const STORIES: Record<Verdict, string> = {
  IN_ORDER: 'Both sides agree.',
  NO_STATE: 'Redis has no state of it; the next update makes one from the watermark.',
  EPOCHS_DIFFER: 'The next flush or alignment gives both sides a new epoch.',
  REDIS_BEHIND: 'Redis lost acknowledged writes; the next flush or alignment repairs it.',
  REDIS_BACKUP_RESTORED: 'Redis came back from a backup that is older than MySQL.',
  DATABASE_WENT_BACK: 'MySQL came back from a backup that is older than Redis.',
  NOT_MIGRATED: 'MySQL has no watermark of it; run: sluice migrate',
};

function shown(partition: number, { verdict, redis, database, damage }: Evidence): PartitionEvidence {
  return {
    partition,
    verdict,
    why: STORIES[verdict],
    redis: redis ? facts(redis) : null,
    database: database
      ? {
          ...facts({ ...database, journal: null, committedAt: null }),
          journal: database.journal ? `${database.journal.oldest} to ${database.journal.newest}` : 'empty',
          committedAt: new Date(database.committedAt).toISOString(),
        }
      : null,
    damage: damage ?? null,
    command: HALTS.includes(verdict) ? `sluice recover --partition ${partition}` : null,
  };
}

function facts(side: object): Record<string, string> {
  const known = Object.entries(side).filter(([, value]) => value !== null && typeof value !== 'object');
  return Object.fromEntries(known.map(([name, value]) => [name, String(value)]));
}
