/**
 * Both servers, opened when they answer. The console starts while one of them is away: to say so is what it is for.
 */
import type { Logger } from 'pino';
import { pause } from '../shared/clock.ts';
import type { Config } from '../shared/config/config.ts';
import type { Definitions } from '../shared/config/definitions.ts';
import { SluiceError } from '../shared/errors.ts';
import { type Opened, type OpenServers, openServers } from '../shared/open-servers.ts';

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5000;

export class ConsoleServers {
  readonly #stop = new AbortController();
  readonly #attempts: Promise<void>;
  #opened: Opened | undefined;
  #error: unknown;

  /** Tries until it succeeds, also after errors that need somebody to mend something. */
  constructor(config: Config, definitions: Definitions, log: Logger) {
    this.#attempts = this.#open(() => openServers(config, definitions, log, true), log);
  }

  /** Undefined until both have answered once. Afterwards an outage is an error of each call. */
  get current(): OpenServers | undefined {
    return this.#opened?.open;
  }

  /** Why they could not be opened yet; undefined if they are, or if the first attempt is under way. */
  get trouble(): SluiceError | undefined {
    if (this.#opened || this.#error === undefined) return undefined;
    return this.#error instanceof SluiceError ? this.#error : new StartingError(this.#error);
  }

  /** @throws why they could not be opened */
  get(): OpenServers {
    if (this.#opened) return this.#opened.open;
    throw this.trouble ?? new StartingError();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#attempts;
    await this.#opened?.close();
  }

  async #open(attempt: () => Promise<Opened>, log: Logger): Promise<void> {
    for (let failures = 0; !this.#stop.signal.aborted; failures++) {
      try {
        this.#opened = await attempt();
        return;
      } catch (error) {
        const before = this.#error;
        this.#error = error;
        if (codeOf(error) !== codeOf(before))
          log.warn({ err: error }, 'the console cannot use a server yet, and tries again');
        await pause(
          Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures, 10)),
          this.#stop.signal,
        );
      }
    }
  }
}

class StartingError extends SluiceError {
  readonly code = 'STARTING';
  override readonly retryable = true;
  constructor(cause?: unknown) {
    super('The console is connecting to Redis and MySQL; ask again in a second.', { cause });
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof SluiceError ? error.code : error === undefined ? undefined : String(error);
}
