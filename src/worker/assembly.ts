/** Assembles a worker: the flush loop, the sweep and other rounds, and what an operator sees. */
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { type Clock, systemClock } from '../shared/clock.ts';
import type { Definitions } from '../shared/config/definitions.ts';
import { processFacts } from '../shared/config/process-facts.ts';
import type { Settings } from '../shared/config/settings.ts';
import type { Database } from '../shared/mysql/database.ts';
import type { MysqlLocation } from '../shared/mysql/url.ts';
import { Aligner } from '../shared/partition/align.ts';
import { BoardBuilder } from '../shared/ranks/builder.ts';
import { Barrier } from '../shared/redis/barrier.ts';
import type { RedisConnection } from '../shared/redis/connections.ts';
import type { ClaimDurability } from '../shared/redis/durability.ts';
import { Heartbeat } from '../shared/redis/heartbeat.ts';
import { Inspector } from '../shared/redis/inspect.ts';
import type { Keys } from '../shared/redis/keys.ts';
import { MemoryWatch } from '../shared/redis/memory-watch.ts';
import { Primaries } from '../shared/redis/primaries.ts';
import { openQueue } from '../shared/redis/queue.ts';
import type { RedisLocation } from '../shared/redis/url.ts';
import { ColdReader } from '../shared/values/cold-read.ts';
import type { OpenTables } from '../shared/values/mapping.ts';
import { Circuit, logCircuit } from './circuit.ts';
import { ClaimBarrier } from './claim-barrier.ts';
import type { Seam } from './commit.ts';
import { Consumer } from './consumer.ts';
import { Credits } from './credits.ts';
import { Driver } from './driver.ts';
import { Expiry } from './expiry.ts';
import { Flight } from './flight.ts';
import { Flusher } from './flush.ts';
import type { FlushTracing } from './flush-span.ts';
import { WorkerMetrics } from './metrics.ts';
import { Ranks } from './ranks.ts';
import { readinessJudge } from './readiness.ts';
import { Releaser } from './releaser.ts';
import { Rotation } from './rotation.ts';
import { Store } from './store.ts';
import { Sweep } from './sweep.ts';
import type { TableHealth } from './table-health.ts';
import { Verifier } from './verifier.ts';

export interface WorkerParts {
  readonly redis: RedisLocation;
  readonly mysql: MysqlLocation;
  readonly definitions: Definitions;
  readonly namespace: string;
  readonly settings: Settings;
  /** Durability of a claim before its batch is written; `auto` by default: on a replica if there is one. */
  readonly claimDurability?: ClaimDurability;
  readonly log: Logger;
  /** Whether a batch with updates of sampled calls gets a span; off by default. */
  readonly tracing?: boolean | undefined;
  readonly registry?: Registry | undefined;
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly seam?: Seam;
}

/** Connections that passed the checks. */
export interface Opened {
  readonly redis: RedisConnection;
  /** Address of Redis, for error messages. */
  readonly address: string;
  readonly database: Database;
  readonly keys: Keys;
  readonly tables: OpenTables;
  readonly health: TableHealth;
  readonly tracing: FlushTracing | undefined;
}

export type Assembly = ReturnType<typeof assemble>;

/** Starts nothing yet. */
export function assemble(parts: WorkerParts, opened: Opened) {
  const { settings, definitions, log, clock = systemClock, random = Math.random } = parts;
  const { redis, address, database, keys, tables, health, tracing } = opened;
  const metrics = new WorkerMetrics(parts.registry);
  for (const program of Object.keys(definitions.points)) metrics.belowFloor.inc({ program }, 0);
  const shared = { redis, database, keys, settings, metrics, clock, random, log };
  const primaries = new Primaries(redis, keys);
  const barrier = new Barrier(primaries, settings.barrierReplicas);
  const claimBarrier = claimBarrierOf(parts, opened, barrier, metrics, clock);
  const aligner = new Aligner(redis, database, keys, log, () => metrics.rewinds.inc());
  const circuit = circuitOf(settings, metrics, log);
  const flight = new Flight(redis, keys, settings, claimBarrier);
  const store = new Store(database, tables, flight, settings.journalBatches, parts.seam, undefined, health);
  const seam = parts.seam ? { seam: parts.seam } : {};
  const queue = openQueue(redis, keys);
  const memory = new MemoryWatch(primaries, settings.memoryLimitPercent);
  const credits = new Credits({ ...shared, address, memory, queue });
  const driver = new Driver({ ...shared, credits, circuit });
  const expiry = new Expiry({ ...shared, credits, circuit });
  const sendCredits = driver.send.bind(driver);
  const flusher = new Flusher({ ...shared, flight, store, aligner, tracing, sendCredits, ...seam });
  const consumer = new Consumer({ ...shared, queue, flusher, circuit });
  const inspector = new Inspector(redis, keys);
  const onRecovered = (partition: number) => consumer.recovered(partition);
  const rotation = new Rotation(redis, keys, settings.liveTtlMs);
  const sweep = new Sweep({ ...shared, inspector, flusher, circuit, aligner, flight, rotation, onRecovered });
  const releaser = new Releaser({ ...shared, tables, definitions, health, circuit });
  const cold = new ColdReader(redis, address, database, keys, tables, aligner);
  const verifier = new Verifier({ ...shared, tables, cold, circuit });
  const builder = new BoardBuilder({ redis, address, database, keys, tables, cold });
  const ranks = new Ranks({ builder, definitions, circuit, random, log });
  const facts = processFacts('worker', settings, definitions);
  const heartbeat = new Heartbeat(shared, facts, () => (circuit.isOpen ? 'open' : 'closed'));
  const judge = readinessJudge({ ...shared, inspector, flusher });
  return {
    redis,
    database,
    keys,
    definitions,
    queue,
    metrics,
    primaries,
    barrier,
    claimBarrier,
    inspector,
    aligner,
    circuit,
    flusher,
    consumer,
    sweep,
    memory,
    driver,
    expiry,
    releaser,
    verifier,
    ranks,
    heartbeat,
    judge,
  };
}

function claimBarrierOf(
  { claimDurability = 'auto', settings, log }: WorkerParts,
  { redis, address }: Opened,
  barrier: Barrier,
  metrics: WorkerMetrics,
  clock: Clock,
): ClaimBarrier {
  return new ClaimBarrier({
    redis,
    address,
    barrier,
    asked: claimDurability,
    replicas: settings.barrierReplicas,
    timeoutMs: settings.barrierTimeoutMs,
    clock,
    log,
    onDurability: durability => {
      metrics.claimDurability.reset();
      metrics.claimDurability.set({ durability }, 1);
    },
    onUnconfirmed: () => metrics.claimsUnconfirmed.inc(),
  });
}

function circuitOf(settings: Settings, metrics: WorkerMetrics, log: Logger): Circuit {
  return new Circuit(settings, (open, cause) => {
    metrics.breakerOpen.set(open ? 1 : 0);
    logCircuit(log, open, cause);
  });
}
