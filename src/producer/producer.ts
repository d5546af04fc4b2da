/** Connects a producer, checks its servers, and assembles its parts. */
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { systemClock } from '../shared/clock.ts';
import { type Definitions, type DefinitionsInput, parseDefinitions } from '../shared/config/definitions.ts';
import { checkNamespace } from '../shared/config/namespace.ts';
import { parseSettings, type Settings } from '../shared/config/settings.ts';
import { ConfigurationError } from '../shared/errors.ts';
import { explain } from '../shared/explain.ts';
import { createLog } from '../shared/log.ts';
import { Database } from '../shared/mysql/database.ts';
import type { MysqlLocation } from '../shared/mysql/url.ts';
import { Aligner } from '../shared/partition/align.ts';
import { RankReader } from '../shared/ranks/reader.ts';
import { openRedis, type RedisConnection } from '../shared/redis/connections.ts';
import {
  checkDurability,
  DURABILITIES,
  type Durability,
  parseDurability,
} from '../shared/redis/durability.ts';
import { Keys } from '../shared/redis/keys.ts';
import { RedisLog } from '../shared/redis/log.ts';
import { Primaries } from '../shared/redis/primaries.ts';
import { type RedisLocation, redisAddress } from '../shared/redis/url.ts';
import { checkServers } from '../shared/start-checks.ts';
import { whenReachable } from '../shared/start-wait.ts';
import { loadOpenTelemetry } from '../shared/telemetry/tracing.ts';
import { ColdReader } from '../shared/values/cold-read.ts';
import type { ValueTables } from '../shared/values/tables.ts';
import { CallTraces } from './call-traces.ts';
import { Calls } from './calls.ts';
import { type ClientParts, Sluice } from './client.ts';
import { CreditWatch } from './credit-watch.ts';
import { healthOf } from './health.ts';
import { ProducerMetrics } from './metrics.ts';
import { Reads } from './reads.ts';
import { Progress } from './receipt.ts';
import { Writing } from './writing.ts';

export interface ProducerOptions<D extends DefinitionsInput> {
  /** URL, or URL with credentials apart. */
  redis: string | RedisLocation;
  /** URL, or URL with credentials apart. */
  mysql: string | MysqlLocation;
  /** The result of `defineConfig`, or the content of `sluice.config.json`. */
  definitions: D;
  /** Prefix of hash tags and queue; `sluice` by default. */
  namespace?: string;
  /** Tuning options; see docs/configuration.md. */
  settings?: Partial<Settings>;
  /**
   * Durability of calls that do not name one: `memory` (default), `replica`, or `fsync`; see `CallOptions`.
   * Refused if the server cannot give it.
   */
  durability?: Durability;
  /**
   * Links the spans of sampled calls to the span of the flush that writes them, through the OpenTelemetry API
   * that your service has set up. Off by default; see docs/operating.md.
   */
  tracing?: boolean;
  /** Registry of the metrics; a new one by default. */
  registry?: Registry;
  /** A pino logger; silent by default. */
  log?: Logger;
}

const CONNECTIONS = 4;
/** A producer sends no blocking commands, so silence means a lost connection sooner than for a worker. */
const LEAST_SOCKET_TIMEOUT_MS = 3000;

/**
 * Connects to both servers and checks them; waits for them at most `startWaitMs`.
 * @throws ConfigurationError, RedisUnavailableError, RedisUnsuitableError, DatabaseUnavailableError,
 * DatabaseUnsuitableError, NotMigratedError, NewerFormatError, PartitionCountError, AccessDeniedError
 */
export async function createProducer<const D extends DefinitionsInput>(
  options: ProducerOptions<D>,
): Promise<Sluice<D>> {
  return new Sluice<D>(await connectProducer(options));
}

/** The parts of a producer, on connections that passed the checks. @throws what createProducer throws */
export async function connectProducer(options: ProducerOptions<DefinitionsInput>): Promise<ClientParts> {
  if (
    typeof options !== 'object' ||
    options === null ||
    !options.redis ||
    !options.mysql ||
    !options.definitions
  ) {
    throw new ConfigurationError('createProducer needs { redis, mysql, definitions }.');
  }
  const definitions = parseDefinitions(options.definitions);
  const settings = parseSettings(options.settings);
  const keys = new Keys(checkNamespace(options.namespace ?? 'sluice'), settings.partitions);
  const durability = parseDurability(options.durability ?? 'memory', 'durability', DURABILITIES);
  const log = options.log ?? createLog('silent', 'stderr');
  const telemetry = options.tracing ? await loadOpenTelemetry() : undefined;
  const redisLocation = typeof options.redis === 'string' ? { url: options.redis } : options.redis;
  const mysqlLocation = typeof options.mysql === 'string' ? { url: options.mysql } : options.mysql;

  const metrics = new ProducerMetrics(options.registry);
  const servers = { redis: redisLocation, mysql: mysqlLocation };
  const parts = { ...servers, definitions, settings, keys, durability, log, telemetry, metrics };
  return whenReachable(() => connect(parts), { waitMs: settings.startWaitMs, log });
}

interface ProducerParts {
  readonly redis: RedisLocation;
  readonly mysql: MysqlLocation;
  readonly definitions: Definitions;
  readonly settings: Settings;
  readonly keys: Keys;
  readonly durability: Durability;
  readonly log: Logger;
  readonly telemetry: Awaited<ReturnType<typeof loadOpenTelemetry>> | undefined;
  readonly metrics: ProducerMetrics;
}

/**
 * Runs all checks of a start on one connection to MySQL, and closes it before the producer is used: if many
 * producers start at once, each gets a connection soon.
 */
async function startOn(redis: RedisConnection, parts: ProducerParts): Promise<ValueTables> {
  const { mysql, definitions, settings, keys, durability, log, metrics } = parts;
  const address = redisAddress(parts.redis);
  const database = new Database(mysql, { ...settings, connections: 1 });
  try {
    const tables = await checkServers({ redis, address, database, keys }, definitions, {
      onUnfit: ({ owner }, error) =>
        log.warn(
          { err: error },
          `the mapped table of ${owner} was changed and no longer fits: its updates are held until it can be written`,
        ),
    });
    await checkDurability(redis, durability, settings.barrierReplicas, address);
    await new Aligner(redis, database, keys, log, () => metrics.rewinds.inc()).alignAtStart(
      (partition, error) => log.error({ partition, err: error }, 'partition could not be aligned'),
    );
    return tables;
  } catch (error) {
    throw explain(error, address, database.address);
  } finally {
    await database.close();
  }
}

/** Makes one attempt. If it fails, it closes all that it opened. */
async function connect(parts: ProducerParts): Promise<ClientParts> {
  const { settings, log } = parts;
  const address = redisAddress(parts.redis);
  const lines = new RedisLog(log);
  const silentMs = Math.max(LEAST_SOCKET_TIMEOUT_MS, 2 * settings.callTimeoutMs);
  const redis = openRedis(parts.redis, lines.failed, silentMs);
  let database: Database | undefined;
  try {
    database = new Database(parts.mysql, { ...settings, connections: CONNECTIONS }, (from, to) =>
      log.warn({ from, to }, 'another host of MYSQL_URL takes writes now'),
    );
    const tables = await startOn(redis, parts);
    const assembled = await assemble(parts, redis, database, tables);
    lines.started();
    return assembled;
  } catch (error) {
    redis.disconnect();
    await database?.close().catch(() => {});
    throw explain(error, address, database?.address ?? 'MySQL');
  }
}

/** Assembles a producer on connections that passed the checks. */
async function assemble(
  parts: ProducerParts,
  redis: RedisConnection,
  database: Database,
  tables: ValueTables,
): Promise<ClientParts> {
  const { definitions, settings, keys, durability, log, telemetry, metrics } = parts;
  const address = redisAddress(parts.redis);
  const aligner = new Aligner(redis, database, keys, log, () => metrics.rewinds.inc());
  const cold = new ColdReader(redis, address, database, keys, tables, aligner);
  const calls = new Calls(redis, address, systemClock);
  const primaries = new Primaries(redis, keys);
  const onRead = (values: number, missing: number) => metrics.read(values, missing);
  const reads = new Reads({ redis, calls, database, keys, cold, settings, onRead });
  const ranks = new RankReader(redis, keys, call => calls.read(settings.callTimeoutMs, call));
  const shared = { redis, address, database, keys, settings, calls, primaries, aligner, reads };
  const writing = new Writing({ ...shared, metrics, log });
  await writing.start();
  const endWatch = metrics.watchBuffer(() => writing.applier.buffered);
  return {
    definitions,
    applier: writing.applier,
    reads,
    ranks,
    progress: new Progress(redis, database, keys),
    credits: new CreditWatch(database),
    metrics,
    durability,
    partitions: settings.partitions,
    traces: telemetry && new CallTraces(redis, keys, telemetry),
    health: healthOf(primaries, database),
    closeConnections: async () => {
      endWatch();
      await writing.close();
      redis.disconnect();
      await database.close();
    },
  };
}
