/** What the handlers of the console's routes work with. */
import type { Logger } from 'pino';
import type { RunningOperations } from '../http/running-operations.ts';
import type { FailedUpdates } from '../replay/index.ts';
import type { Config } from '../shared/config/config.ts';
import type { Definitions } from '../shared/config/definitions.ts';
import type { OpenServers } from '../shared/open-servers.ts';
import type { Sampler } from './sampler.ts';
import type { VerifyRuns } from './verify-runs.ts';

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
