/** What the handlers of the console's routes work with. */
import type { Logger } from 'pino';
import type { RunningOperations } from '../http/running-operations.ts';
import type { FailedUpdates } from '../replay/index.ts';
import type { Config } from '../shared/config/config.ts';
import type { Definitions } from '../shared/config/definitions.ts';
import type { Aligner } from '../shared/partition/align.ts';
import type { Inspector } from '../shared/redis/inspect.ts';
import type { FlushQueue } from '../shared/redis/queue.ts';
import type { Servers } from '../shared/start-checks.ts';
import type { ColdReader } from '../shared/values/cold-read.ts';
import type { ValueTables } from '../shared/values/tables.ts';
import type { Sampler } from './sampler.ts';
import type { VerifyRuns } from './verify-runs.ts';

/** Both servers, opened and checked. */
export interface OpenServers extends Servers {
  readonly queue: FlushQueue;
  readonly inspector: Inspector;
  readonly tables: ValueTables;
  readonly cold: ColdReader;
  readonly aligner: Aligner;
}

export interface ConsoleParts {
  readonly config: Config;
  readonly definitions: Definitions;
  readonly log: Logger;
  /** @throws DatabaseUnavailableError, RedisUnavailableError until both servers have answered once */
  servers(): OpenServers;
  /** Connects at the first call. */
  failed(): Promise<FailedUpdates>;
  readonly running: RunningOperations;
  readonly verifyRuns: VerifyRuns;
  readonly sampler: Sampler;
}
