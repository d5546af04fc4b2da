/**
 * The worker: connects to both servers, runs the parts of assembly.ts, and stops them.
 *
 * Start: wait for both servers -> check them -> align partitions -> consume jobs and sweep.
 * Stop: take no new job -> finish running batches -> close, all before a deadline.
 */
import { pause, within } from '../shared/clock.ts';
import { explain } from '../shared/explain.ts';
import { SHOWN_KINDS } from '../shared/item.ts';
import { Database } from '../shared/mysql/database.ts';
import { openRedis } from '../shared/redis/connections.ts';
import { Keys } from '../shared/redis/keys.ts';
import { RedisLog } from '../shared/redis/log.ts';
import { redisAddress } from '../shared/redis/url.ts';
import { checkServers, type Servers } from '../shared/start-checks.ts';
import { type StartWait, whenReachable } from '../shared/start-wait.ts';
import { loadOpenTelemetry } from '../shared/telemetry/tracing.ts';
import { type Assembly, assemble, type WorkerParts } from './assembly.ts';
import { flushTracing } from './flush-span.ts';
import type { WorkerMetrics } from './metrics.ts';
import type { Readiness } from './readiness.ts';
import { watchSystem } from './system-metrics.ts';
import { TableHealth } from './table-health.ts';

/** Longest wait for BullMQ to close, which may take long after an outage. */
const CLOSE_MS = 3000;

export class Worker {
  readonly metrics: WorkerMetrics;
  readonly #assembly: Assembly;
  readonly #shutdownDeadlineMs: number;
  #stopping = false;

  private constructor(assembly: Assembly, shutdownDeadlineMs: number) {
    this.metrics = assembly.metrics;
    this.#assembly = assembly;
    this.#shutdownDeadlineMs = shutdownDeadlineMs;
  }

  /**
   * Waits for both servers at most `startWaitMs`, checks them, and starts to flush.
   * @throws RedisUnavailableError, RedisUnsuitableError, DatabaseUnavailableError, DatabaseUnsuitableError,
   * NotMigratedError, NewerFormatError, PartitionCountError, AccessDeniedError, TlsFailedError,
   * ConfigurationError
   */
  static async start(parts: WorkerParts, onWait?: StartWait['onWait']): Promise<Worker> {
    const { settings, log, random } = parts;
    const assembly = await whenReachable(() => connect(parts), {
      waitMs: settings.startWaitMs,
      log,
      ...(random ? { random } : {}),
      ...(onWait ? { onWait } : {}),
    });
    // Only after a successful attempt: the registry keeps these metrics.
    watchSystem(assembly.metrics.registry, assembly);
    const { consumer, sweep, memory, driver, expiry, releaser, verifier, ranks, heartbeat } = assembly;
    const started = [memory, consumer, sweep, driver, expiry, releaser, verifier, ranks, heartbeat];
    for (const part of started) part.start();
    return new Worker(assembly, settings.shutdownDeadlineMs);
  }

  readiness(): Promise<Readiness> {
    return this.#assembly.judge(this.#stopping);
  }

  /**
   * Finishes running batches and closes. A batch that is not finished stays in flight in Redis, for another
   * worker.
   * @returns whether all were finished before the deadline
   */
  async stop(): Promise<boolean> {
    const { flusher, consumer, sweep, memory, driver, expiry, verifier, releaser, ranks, heartbeat } =
      this.#assembly;
    this.#stopping = true;
    flusher.stop();
    const orderly = async () => {
      const rounds = [sweep, expiry, verifier, releaser, ranks, consumer, heartbeat];
      const ended = Promise.all(rounds.map(one => one.stop()));
      await flusher.finished();
      memory.stop();
      await within(Promise.all([ended, driver.stop()]), CLOSE_MS);
      return true;
    };
    const inTime = await Promise.race([orderly(), pause(this.#shutdownDeadlineMs).then(() => false)]);
    if (!inTime) await Promise.race([consumer.abandon(), pause(500)]);
    await Promise.race([this.#closeConnections(), pause(1000)]);
    return inTime;
  }

  async #closeConnections(): Promise<void> {
    const { barrier, queue, redis, database } = this.#assembly;
    barrier.close();
    await queue.close();
    redis.disconnect();
    await database.close();
  }
}

/** Makes one attempt. If it fails, it closes all that it opened. */
async function connect(parts: WorkerParts): Promise<Assembly> {
  const { settings, log } = parts;
  const lines = new RedisLog(log, parts.clock);
  const redis = openRedis(parts.redis, lines.failed);
  const address = redisAddress(parts.redis);
  let database: Database | undefined;
  let assembly: Assembly | undefined;
  try {
    const limits = { ...settings, connections: settings.concurrency * 2 + 5 };
    database = new Database(parts.mysql, limits, (from, to) => {
      log.warn({ from, to }, 'another host of MYSQL_URL takes writes now');
      assembly?.circuit.close();
    });
    const keys = new Keys(parts.namespace, settings.partitions);
    const health = new TableHealth(log);
    const servers = { redis, address, database, keys };
    const tables = await check(servers, parts, health);
    const tracing = parts.tracing ? flushTracing(redis, keys, await loadOpenTelemetry()) : undefined;
    assembly = assemble(parts, { ...servers, tables, health, tracing });
    await assembly.claimBarrier.check();
    await assembly.aligner.alignAtStart((partition, error) =>
      log.error({ partition, err: error }, 'partition could not be aligned'),
    );
    lines.started();
    return assembly;
  } catch (error) {
    redis.disconnect();
    await assembly?.queue.close().catch(() => {});
    await database?.close().catch(() => {});
    throw explain(error, address, database?.address ?? 'MySQL');
  }
}

function check(servers: Servers, { definitions, log }: WorkerParts, health: TableHealth) {
  return checkServers(servers, definitions, {
    onUndefined: (kind, name) =>
      log.warn(
        { kind: SHOWN_KINDS[kind], name },
        "this worker's definitions lack a name that is in use, so it writes the values to the tables of Sluice; if the name is mapped, restart the worker with the definitions of the producers",
      ),
    onUnfit: (table, error) => health.failed(table, error),
  });
}
