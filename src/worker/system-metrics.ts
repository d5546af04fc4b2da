/**
 * Metrics that all workers share: read from Redis and MySQL at each scrape, so every worker reports the same
 * values. While a server is away its metrics are absent instead of stale; the others stay.
 */

import type { Redis } from 'ioredis';
import type { Registry } from 'prom-client';
import { type Definitions, definedNames } from '../shared/config/definitions.ts';
import { kindOfRow, type RowKind, SHOWN_KINDS } from '../shared/item.ts';
import { type Database, queryRow, queryRows, type Rows, readSql } from '../shared/mysql/database.ts';
import { Question } from '../shared/question.ts';
import { RankReader, rankedNames } from '../shared/ranks/reader.ts';
import { infoField } from '../shared/redis/check.ts';
import type { RedisConnection } from '../shared/redis/connections.ts';
import type { Inspector, PartitionStatus } from '../shared/redis/inspect.ts';
import type { Keys } from '../shared/redis/keys.ts';
import type { Primaries } from '../shared/redis/primaries.ts';
import type { FlushQueue } from '../shared/redis/queue.ts';
import { valueAtRisk } from '../shared/redis/value-at-risk.ts';
import type { MetricNameOf } from '../shared/telemetry/metric-catalogue.ts';
import { counter, gauge } from '../shared/telemetry/metrics.ts';
import { HELD_BY_NAME } from '../shared/updates/failed-update.ts';
import { readUnfinishedBackfills, type UnfinishedBackfill } from '../shared/updates/unfinished-backfills.ts';
import { readWaitingTransfers, type WaitingTransfers } from '../shared/updates/waiting-transfers.ts';

export interface SystemSources {
  readonly redis: RedisConnection;
  readonly primaries: Pick<Primaries, 'all'>;
  readonly keys: Keys;
  readonly definitions: Definitions;
  readonly inspector: Inspector;
  readonly queue: FlushQueue;
  readonly database: Database;
}

/** Longest wait for a server; ioredis would wait for ever. */
const ANSWER_MS = 1500;
const SAME_SCRAPE_MS = 100;
const STATES = ['waiting', 'active', 'delayed', 'failed'] as const;
const SYSTEM = readSql(new URL('./sql/system-metrics.sql', import.meta.url));
const LOSSES = 'SELECT kind, SUM(updates) AS updates FROM sluice_losses GROUP BY kind';
/** At most a row for each program and partition. */
const OPEN_HOLDS =
  'SELECT program, SUM(holds) AS holds, SUM(points) AS points FROM sluice_open_holds GROUP BY program';
const CONNECTIONS = "SHOW GLOBAL STATUS LIKE 'Threads_connected'";

export function watchSystem(registry: Registry, sources: SystemSources): void {
  watchPartitions(registry, sources);
  watchRanks(registry, sources);
  watchServers(registry, sources);
}

/** One question serves all metrics of a scrape; undefined if there is no answer in time. */
function oncePerScrape<Answer>(ask: () => Promise<Answer>): () => Promise<Answer | undefined> {
  const question = new Question(ask, SAME_SCRAPE_MS);
  return () => question.answer(ANSWER_MS);
}

function watchPartitions(
  registry: Registry,
  { redis, keys, definitions, inspector, queue }: SystemSources,
): void {
  const partitions = oncePerScrape(() => inspector.all());
  const perPartition = (
    name: Extract<
      MetricNameOf<'gauge'>,
      `sluice_${'pending_updates' | 'pending_keys' | 'in_flight_updates' | 'flush_lag_seconds' | 'batch_sequence'}`
    >,
    value: (status: PartitionStatus) => number,
  ) =>
    gauge(registry, name, async metric => {
      const found = await partitions();
      if (!found) metric.reset();
      for (const status of found ?? []) metric.set({ partition: String(status.partition) }, value(status));
    });
  perPartition('sluice_pending_updates', status => status.pendingUpdates);
  perPartition('sluice_pending_keys', status => status.pendingKeys);
  perPartition('sluice_in_flight_updates', status => status.inFlight);
  perPartition('sluice_flush_lag_seconds', status => status.lagSeconds);
  perPartition('sluice_batch_sequence', status => status.sequence);
  const points = oncePerScrape(valueAtRisk(redis, keys));
  gauge(registry, 'sluice_value_at_risk', async metric => {
    const found = await points();
    metric.reset();
    if (found)
      for (const program of Object.keys(definitions.points)) metric.set({ program }, found.get(program) ?? 0);
  });
  const jobs = oncePerScrape(() => queue.getJobCounts(...STATES));
  gauge(registry, 'sluice_queue_depth', async metric => {
    const counts = await jobs();
    if (!counts) metric.reset();
    for (const [state, count] of Object.entries(counts ?? {})) metric.set({ state }, count);
  });
}

function watchRanks(registry: Registry, { redis, keys, definitions }: SystemSources): void {
  const reader = new RankReader(redis, keys, call => call());
  const boards = rankedNames(definitions);
  const counts = oncePerScrape(() => Promise.all(boards.map(board => reader.inexactPartitions(board))));
  gauge(registry, 'sluice_ranks_inexact_partitions', async metric => {
    const found = await counts();
    metric.reset();
    for (const [at, partitions] of (found ?? []).entries()) {
      const { kind, name } = boards[at]!;
      metric.set({ kind: SHOWN_KINDS[kind], name }, partitions);
    }
  });
}

function watchServers(registry: Registry, { primaries, database, definitions }: SystemSources): void {
  const ask = async (server: string, node: Redis) => [server || 'primary', await node.info()] as const;
  const redis = oncePerScrape(() =>
    Promise.all([...primaries.all()].map(([server, node]) => ask(server, node))),
  );
  const mysql = oncePerScrape(() =>
    database.session(async connection => ({
      system: await queryRow(connection, SYSTEM),
      threads: await queryRow(connection, CONNECTIONS),
      losses: await queryRows(connection, LOSSES),
      held: await queryRows(connection, HELD_BY_NAME),
      transfers: await readWaitingTransfers(connection),
      holds: await queryRows(connection, OPEN_HOLDS),
      backfills: await readUnfinishedBackfills(connection),
    })),
  );
  watchTransfers(registry, definitions, async () => (await mysql())?.transfers);
  watchHolds(registry, definitions, async () => (await mysql())?.holds);
  watchBackfills(registry, async () => (await mysql())?.backfills);
  gauge(registry, 'sluice_server_up', async metric => {
    const [redisAnswer, mysqlAnswer] = await Promise.all([redis(), mysql()]);
    metric.set({ server: 'redis' }, redisAnswer ? 1 : 0);
    metric.set({ server: 'mysql' }, mysqlAnswer ? 1 : 0);
  });
  const perPrimary = {
    sluice_redis_memory_used_bytes: 'used_memory',
    sluice_redis_memory_limit_bytes: 'maxmemory',
    sluice_redis_clients: 'connected_clients',
    sluice_redis_replicas: 'connected_slaves',
  } as const;
  for (const [name, field] of Object.entries(perPrimary))
    gauge(registry, name as keyof typeof perPrimary, async metric => {
      const infos = (await redis()) ?? [];
      metric.reset();
      for (const [server, info] of infos) metric.set({ server }, Number(infoField(info, field) ?? 0));
    });
  counter(registry, 'sluice_redis_evicted_keys_total', async metric => {
    const infos = (await redis()) ?? [];
    metric.reset();
    for (const [server, info] of infos) metric.inc({ server }, Number(infoField(info, 'evicted_keys') ?? 0));
  });
  const perMysql = {
    sluice_quarantined_entries: answer => answer.system.quarantined,
    sluice_quarantine_oldest_age_seconds: answer => Number(answer.system.oldest) / 1_000_000,
    sluice_hold_overdue_seconds: answer => Number(answer.system.overdue) / 1_000_000,
    sluice_mysql_connections_limit: answer => answer.system.connections,
    sluice_mysql_connections: answer => answer.threads.Value,
  } as const satisfies Record<string, (answer: NonNullable<Awaited<ReturnType<typeof mysql>>>) => unknown>;
  for (const [name, value] of Object.entries(perMysql))
    gauge(registry, name as keyof typeof perMysql, async metric => {
      const answer = await mysql();
      // NaN makes a gap in Prometheus; the gauge would keep its old value.
      metric.set(answer ? Number(value(answer)) : Number.NaN);
    });
  gauge(registry, 'sluice_held_rows', async metric => {
    const answer = await mysql();
    metric.reset();
    if (!answer) return;
    for (const { kind, name } of definedNames(definitions)) metric.set({ kind: SHOWN_KINDS[kind], name }, 0);
    for (const { kind, name, held } of answer.held)
      metric.set({ kind: SHOWN_KINDS[kindOfRow(kind as RowKind)], name: String(name) }, Number(held));
  });
  gauge(registry, 'sluice_declared_loss_updates', async metric => {
    const answer = await mysql();
    metric.reset();
    if (!answer) return;
    for (const kind of ['lost', 'doubled'] as const) metric.set({ kind }, 0);
    for (const { kind, updates } of answer.losses) metric.set({ kind: kind as 'lost' }, Number(updates));
  });
}

function watchTransfers(
  registry: Registry,
  { points }: Definitions,
  read: () => Promise<readonly WaitingTransfers[] | undefined>,
): void {
  const perProgram = {
    sluice_transfers_in_transit: waiting => waiting.inTransit,
    sluice_transfer_oldest_age_seconds: waiting => waiting.oldestSeconds,
    sluice_transfers_aside: waiting => waiting.aside,
  } as const satisfies Record<string, (waiting: WaitingTransfers) => number>;
  for (const [name, value] of Object.entries(perProgram))
    gauge(registry, name as keyof typeof perProgram, async metric => {
      const found = await read();
      metric.reset();
      if (!found) return;
      for (const program of Object.keys(points)) metric.set({ program }, 0);
      for (const waiting of found) metric.set({ program: waiting.program }, value(waiting));
    });
}

function watchHolds(
  registry: Registry,
  { points }: Definitions,
  read: () => Promise<Rows | undefined>,
): void {
  const perProgram = { sluice_holds_open: 'holds', sluice_hold_points: 'points' } as const;
  for (const [name, column] of Object.entries(perProgram))
    gauge(registry, name as keyof typeof perProgram, async metric => {
      const found = await read();
      metric.reset();
      if (!found) return;
      for (const program of Object.keys(points)) metric.set({ program }, 0);
      for (const row of found) metric.set({ program: String(row.program) }, Number(row[column]));
    });
}

function watchBackfills(
  registry: Registry,
  read: () => Promise<readonly UnfinishedBackfill[] | undefined>,
): void {
  const perRun = {
    sluice_backfill_rows: ({ rows }) => rows,
    sluice_backfill_rows_passed: ({ passed }) => passed,
    sluice_backfill_progress_age_seconds: ({ progressSeconds }) => progressSeconds,
    sluice_backfill_carried_out: ({ isCarriedOut }) => (isCarriedOut ? 1 : 0),
  } as const satisfies Record<string, (backfill: UnfinishedBackfill) => number>;
  for (const [name, value] of Object.entries(perRun))
    gauge(registry, name as keyof typeof perRun, async metric => {
      const found = await read();
      metric.reset();
      for (const backfill of found ?? []) metric.set({ run: backfill.run }, value(backfill));
    });
}
