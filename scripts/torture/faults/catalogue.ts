/** All faults, and their order for a seed. */
import type { Random } from '../../load/zipf.ts';
import type { DatabaseName, TopologyName } from '../servers.ts';
import { apiDrain, apiKill, apiStop } from './api.ts';
import { clockAhead, clockBehind, clockStep } from './clocks.ts';
import {
  cutAfterCommit,
  cutAfterEvalsha,
  cutBeforeCommit,
  cutBeforeEvalsha,
  databaseDelay,
  redisDelay,
} from './connections.ts';
import { creditsRefused } from './credits.ts';
import { databaseReadLock, databaseReadOnly, databaseRestart, deadlock } from './database.ts';
import {
  certificationConflict,
  memberKill,
  primaryCut,
  primaryKill,
  primaryStop,
} from './database-cluster.ts';
import { clusterFailover, clusterMigration, sentinelFailover } from './failover.ts';
import type { Fault } from './fault.ts';
import { logBlocked } from './logs.ts';
import { allWorkersKill, producerKill, producerStop, workerKill, workerStop } from './processes.ts';
import { redisCut, redisFull, redisRestart, scriptFlush } from './redis.ts';
import { redisStop } from './redis-stop.ts';
import { passwordChanged } from './rotation.ts';
import { columnRenamed } from './schema.ts';

const all: readonly Fault[] = [
  workerKill,
  allWorkersKill,
  workerStop,
  producerKill,
  producerStop,
  apiKill,
  apiStop,
  apiDrain,
  redisRestart,
  redisStop,
  databaseRestart,
  cutBeforeCommit,
  cutAfterCommit,
  cutBeforeEvalsha,
  cutAfterEvalsha,
  redisCut,
  redisDelay,
  databaseDelay,
  scriptFlush,
  databaseReadOnly,
  databaseReadLock,
  deadlock,
  redisFull,
  passwordChanged,
  clockAhead,
  clockBehind,
  clockStep,
  logBlocked,
  columnRenamed,
  creditsRefused,
  sentinelFailover,
  clusterFailover,
  clusterMigration,
  primaryKill,
  primaryStop,
  primaryCut,
  memberKill,
  certificationConflict,
];

export function faultsOf(topology: TopologyName, database: DatabaseName): Fault[] {
  return all
    .filter(fault => fault.topologies?.includes(topology) ?? true)
    .filter(fault => fault.databases?.includes(database) ?? true);
}

/**
 * Endless. In each round, every kind occurs as often as its weight, in a new order: first each kind once, so that a
 * short run has all of them, then those of a greater weight.
 */
export function* schedule(faults: readonly Fault[], random: Random): Generator<Fault, never> {
  const weightOf = ({ weight = 2 }: Fault) => weight;
  const most = Math.max(...faults.map(weightOf));
  for (;;)
    for (let nth = 1; nth <= most; nth++)
      yield* shuffled(
        faults.filter(fault => weightOf(fault) >= nth),
        random,
      );
}

function shuffled(faults: readonly Fault[], random: Random): Fault[] {
  const order = [...faults];
  for (let last = order.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  return order;
}
