/**
 * The capacity model behind `sluice plan` and docs/capacity.md: computes what a load needs of Redis, MySQL
 * and workers. Pure; plan-measured.ts holds every measured number.
 */
import { ENTRY_WEIGHT } from '../producer/micro-batch.ts';
import { settingsCatalogue } from '../shared/config/settings.ts';
import { MOST_GROUPS } from '../shared/redis/groups.ts';
import { instanceFor, nodesFor } from './plan-classes.ts';
import type { Load } from './plan-load.ts';
import { measured } from './plan-measured.ts';
import { Zipf } from './plan-zipf.ts';

export interface Plan {
  readonly load: Load;
  readonly redis: {
    /** Apply calls a second of all producers. */
    readonly callsPerSecond: number;
    /** Busy cores at the peak, over all primaries, without headroom. */
    readonly cores: number;
    /** Share of `cores` that calls cost without their updates. */
    readonly callCores: number;
    readonly primaries: number;
    /** Bytes over all primaries: in steady state, and at the end of the outage. */
    readonly memory: number;
    readonly memoryAfterOutage: number;
    /** Class of each primary and replica. */
    readonly nodeClass: string;
    readonly nodes: number;
  };
  readonly mysql: {
    readonly counterRowsPerSecond: number;
    /** Balances of the accounts that have entries. */
    readonly balanceRowsPerSecond: number;
    readonly commitsPerSecond: number;
    /** Busy vCPUs at the peak, without headroom. */
    readonly vcpu: number;
    /** Bytes of the rows that updates touch, for the buffer pool. */
    readonly hotRows: number;
    /** Null if none is large enough. */
    readonly instanceClass: string | null;
  };
  readonly workers: number;
  readonly partitions: number;
  /** Fewest partitions that the rest of the plan needs. */
  readonly partitionsNeeded: number;
  readonly flushIntervalMs: number;
  /** Load of the partition of the most frequent key, which no Cluster can split. */
  readonly hottestPartition: { readonly updatesPerSecond: number; readonly cores: number };
  readonly outage: {
    readonly pendingKeys: number;
    readonly pendingEntries: number;
    /** Time until workers and MySQL catch up after it, while the peak goes on; null if they cannot. */
    readonly catchUpSeconds: number | null;
  };
  /** Ids of counter updates that fall into the window, and how many of them Redis keeps. */
  readonly counterIds: { readonly wanted: number; readonly kept: number };
}

/** Lengths of names and ids, bytes, with which docs/memory.md was measured. */
const MEASURED_KEY = 20;
const MEASURED_ACCOUNT = 16;
const MEASURED_ID = 12;
/** With a single worker, its failure would be an outage. */
const FEWEST_WORKERS = 2;
/** Most rows of a batch that shares a transaction with others: a page of a claim. */
const ROWS_SHARED = 500;
/** Fewer partitions would spread too unevenly over the primaries. */
const PARTITIONS_PER_PRIMARY = 4;
/** Boards of a ranked name while it is built anew: the old one and the new one. */
const BOARDS = 2;
/** Updates wait for one interval, and as long again until they are in MySQL and acknowledged. */
const PENDING_INTERVALS = 2;

const setting = (name: keyof typeof settingsCatalogue) => settingsCatalogue[name].default;

export function planFor(load: Load): Plan {
  const spread = new Zipf(load.keys, load.skew);
  const rows = rowsOf(load, spread);
  const workers = workersFor(load, rows.counters);
  let partitions = load.partitions ?? setting('partitions');
  let redis = redisFor(load, spread, rows, partitions);
  const needed = () =>
    Math.min(
      settingsCatalogue.partitions.max,
      Math.max(setting('concurrency') * workers.busy, PARTITIONS_PER_PRIMARY * redis.primaries),
    );
  // More partitions mean more calls, which may need more primaries, which need more partitions.
  while (load.partitions === undefined && partitions < needed()) {
    partitions *= 2;
    redis = redisFor(load, spread, rows, partitions);
  }
  const mysql = mysqlFor(load, rows, partitions, redis.primaries);
  return {
    load,
    redis,
    mysql: mysql.plan,
    workers: workers.count,
    partitions,
    partitionsNeeded: needed(),
    flushIntervalMs: load.flushInterval,
    hottestPartition: hottestOf(load, spread, rows, partitions),
    outage: outageOf(load, spread, workers, mysql),
    counterIds: counterIdsOf(load, partitions),
  };
}

/** Rows a second, once the updates of an interval are summed for each key. */
function rowsOf(load: Load, spread: Zipf) {
  const seconds = load.flushInterval / 1000;
  const accounts = new Zipf(load.accounts, 0);
  return {
    counters: spread.distinct(load.updates * seconds) / seconds,
    balances: accounts.distinct(load.entries * seconds) / seconds,
  };
}

type Rows = ReturnType<typeof rowsOf>;

/** `load`: of how many workers, a fraction; `busy`: workers that it needs; `count`: workers to run. */
function workersFor({ entries, headroom }: Load, counterRows: number) {
  const load =
    counterRows / measured.workerRowsPerSecond.value + entries / measured.workerEntriesPerSecond.value;
  const busy = Math.max(1, Math.ceil(load / (1 - headroom)));
  return { load, busy, count: Math.max(FEWEST_WORKERS, busy) };
}

/**
 * Micro-batches a second. Each producer has one of each partition under way, and the next one carries the
 * updates that came meanwhile: the time between two is one call plus the wait for an update. Their size is
 * bounded.
 */
function microBatchesOf({ producers, latency, updates, entries }: Load, partitions: number): number {
  return Math.max(
    (updates + ENTRY_WEIGHT * entries) / setting('microBatch'),
    1 / (latency / 1000 / (producers * partitions) + 1 / (updates + entries)),
  );
}

/** What Redis does in a second. */
interface Work {
  readonly updates: number;
  readonly entries: number;
  readonly calls: number;
  readonly microBatches: number;
  readonly jobs: number;
  readonly flushes: number;
}

/** Except on a Cluster, the micro-batches of all partitions share a call, and the flushes of a group a job. */
function workOf(load: Load, rows: Rows, partitions: number, isCluster: boolean): Work {
  const microBatches = microBatchesOf(load, partitions);
  const flushes = flushesOf(load, rows, partitions);
  return {
    updates: load.updates,
    entries: load.entries,
    calls: isCluster ? microBatches : microBatchesOf(load, 1),
    microBatches,
    jobs: isCluster ? flushes : flushesOf(load, rows, Math.min(MOST_GROUPS, partitions)),
    flushes,
  };
}

function callCoresOf({ calls, microBatches }: Pick<Work, 'calls' | 'microBatches'>): number {
  return (
    (calls * measured.redisMicrosPerCall.value + microBatches * measured.redisMicrosPerMicroBatch.value) / 1e6
  );
}

/** Busy cores of Redis. */
function redisCores({ ids, members }: Load, work: Work): number {
  const { updates, entries, jobs, flushes } = work;
  return (
    callCoresOf(work) +
    (updates * (1 - ids) * measured.redisMicrosPerUpdate.value +
      (updates * ids + entries) * measured.redisMicrosPerEntry.value +
      (members > 0 ? (updates + entries) * measured.redisMicrosPerScore.value : 0) +
      jobs * measured.redisMicrosPerJob.value +
      flushes * measured.redisMicrosPerFlush.value) /
      1e6
  );
}

function hottestOf(load: Load, spread: Zipf, rows: Rows, partitions: number) {
  const updates = load.updates * (spread.hottest + (1 - spread.hottest) / partitions);
  const entries = load.entries / partitions;
  const flushes = flushesOf(load, rows, partitions) / partitions;
  const calls = microBatchesOf(load, 1);
  const work = { updates, entries, calls, microBatches: calls, jobs: flushes, flushes };
  return { updatesPerSecond: updates + entries, cores: redisCores(load, work) };
}

/** Flushes a second. A partition is flushed one interval after its first update, sooner if batches are full. */
function flushesOf({ updates, entries, flushInterval }: Load, rows: Rows, partitions: number): number {
  return Math.max(
    1 / (flushInterval / 1000 / partitions + 1 / (updates + entries)),
    rows.counters / setting('batchKeys'),
    entries / setting('batchEntries'),
  );
}

/** Commits a second. If batches are short, partitions of a group share a transaction, but not on a Cluster. */
function commitsOf(load: Load, rows: Rows, partitions: number, primaries: number): number {
  const rowsOfBatch = ((rows.counters + load.entries) * load.flushInterval) / 1000 / partitions;
  const isShared = primaries === 1 && rowsOfBatch <= ROWS_SHARED;
  return flushesOf(load, rows, isShared ? Math.min(MOST_GROUPS, partitions) : partitions);
}

function redisFor(load: Load, spread: Zipf, rows: Rows, partitions: number) {
  const { headroom, replicas } = load;
  const { steady, afterOutage } = memoryOf(load, spread, partitions);
  const nodesOf = (some: Work) => nodesFor(afterOutage, redisCores(load, some) / (1 - headroom));
  const alone = workOf(load, rows, partitions, false);
  const isCluster = nodesOf(alone).primaries > 1;
  const work = isCluster ? workOf(load, rows, partitions, true) : alone;
  const { primaries, node } = nodesOf(work);
  return {
    callsPerSecond: work.calls,
    cores: redisCores(load, work),
    callCores: callCoresOf(work),
    primaries,
    memory: steady,
    memoryAfterOutage: afterOutage,
    nodeClass: node.name,
    nodes: primaries * (1 + replicas),
  };
}

function counterIdsOf({ updates, ids }: Load, partitions: number) {
  const wanted = (updates * ids * setting('idempotencyWindowMs')) / 1000;
  return { wanted, kept: Math.min(wanted, setting('idempotencyLimit') * partitions) };
}

/** Bytes, an upper bound: it takes every key to be live. */
function memoryOf(load: Load, spread: Zipf, partitions: number) {
  const { updates, keys, entries, accounts, flushInterval } = load;
  const more = (length: number, measuredLength: number) => Math.max(0, length - measuredLength);
  const key = more(load.keyBytes, MEASURED_KEY);
  const account = more(load.keyBytes, MEASURED_ACCOUNT);
  const id = more(load.idBytes, MEASURED_ID);
  // Each byte of a name costs once for each copy in Redis. A key is in the sums and in their order; an
  // account and an id are in the entry, among the ids, and in their order. Of a counter's id there is a digest.
  const liveValues = (updates > 0 ? keys : 0) + (entries > 0 ? accounts : 0);
  const pendingKey = measured.pendingKeyBytes.value + 2 * key;
  const pendingEntry = measured.pendingEntryBytes.value + 3 * (account + id) + load.entryBytes;
  const entryIds = Math.min(
    (entries * setting('idempotencyWindowMs')) / 1000,
    setting('idempotencyLimit') * partitions,
  );
  const lasting =
    measured.redisBaseBytes.value +
    liveValues * (measured.liveValueBytes.value + key) +
    BOARDS * load.members * (measured.memberBytes.value + key) +
    counterIdsOf(load, partitions).kept * measured.counterIdBytes.value +
    entryIds * (measured.entryIdBytes.value + 2 * (account + id));
  const after = (seconds: number) =>
    lasting + spread.distinct(updates * seconds) * pendingKey + entries * seconds * pendingEntry;
  const steadySeconds = (PENDING_INTERVALS * flushInterval) / 1000;
  return { steady: after(steadySeconds), afterOutage: after(steadySeconds + load.outage * 60) };
}

function mysqlFor(load: Load, rows: Rows, partitions: number, primaries: number) {
  const { updates, entries, headroom } = load;
  const commitsPerSecond = commitsOf(load, rows, partitions, primaries);
  const vcpu =
    (rows.counters * measured.mysqlMicrosPerRow.value +
      entries * measured.mysqlMicrosPerEntry.value +
      commitsPerSecond * measured.mysqlMicrosPerCommit.value) /
    1e6;
  const hotRows =
    ((updates > 0 ? load.keys : 0) + (entries > 0 ? load.accounts : 0)) *
    (measured.mysqlRowBytes.value + load.keyBytes);
  const instance = instanceFor(hotRows, vcpu / (1 - headroom));
  const plan = {
    counterRowsPerSecond: rows.counters,
    balanceRowsPerSecond: rows.balances,
    commitsPerSecond,
    vcpu,
    hotRows,
    instanceClass: instance?.name ?? null,
  };
  return { plan, spareVcpu: instance ? instance.sustained - vcpu : 0 };
}

function outageOf(
  { updates, entries, outage }: Load,
  spread: Zipf,
  workers: ReturnType<typeof workersFor>,
  { spareVcpu }: ReturnType<typeof mysqlFor>,
) {
  const pendingKeys = spread.distinct(updates * outage * 60);
  const pendingEntries = entries * outage * 60;
  const workerSeconds =
    pendingKeys / measured.workerRowsPerSecond.value + pendingEntries / measured.workerEntriesPerSecond.value;
  const mysqlSeconds =
    (pendingKeys * measured.mysqlMicrosPerRow.value + pendingEntries * measured.mysqlMicrosPerEntry.value) /
    1e6;
  const spareWorkers = workers.count - workers.load;
  const canCatchUp = spareWorkers > 0 && spareVcpu > 0;
  return {
    pendingKeys,
    pendingEntries,
    catchUpSeconds: canCatchUp ? Math.max(workerSeconds / spareWorkers, mysqlSeconds / spareVcpu) : null,
  };
}
