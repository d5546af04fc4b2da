/** Calls to Redis with a deadline: ioredis alone would wait for a lost server for ever. */
import type { Clock } from '../shared/clock.ts';
import { RedisUnavailableError, UnknownOutcomeError } from '../shared/errors.ts';
import { type RedisConnection, unavailable } from '../shared/redis/connections.ts';
import { redisError, replyCode } from '../shared/redis/errors.ts';

/** Redis refuses a call after its deadline; an answer sent just before needs this long to arrive. */
const MARGIN_MS = 100;

export class Calls {
  readonly #redis: RedisConnection;
  readonly #address: string;
  readonly #clock: Clock;
  /** Calls that wait for a connection. One listener on the connection serves all. */
  readonly #waiting = new Set<() => void>();

  constructor(redis: RedisConnection, address: string, clock: Clock) {
    this.#redis = redis;
    this.#address = address;
    this.#clock = clock;
    redis.on('ready', () => {
      for (const go of this.#waiting) go();
    });
  }

  /**
   * Waits for a usable connection. Nothing is sent before, so a failure is certain.
   * @throws RedisUnavailableError, AccessDeniedError, RedisUnsuitableError
   */
  async ready(until: number): Promise<void> {
    if (this.#redis.status === 'ready') return;
    await new Promise<void>((resolve, reject) => {
      const go = () => {
        clearTimeout(timer);
        this.#waiting.delete(go);
        resolve();
      };
      const late = () => {
        this.#waiting.delete(go);
        reject(unavailable(this.#redis, this.#address));
      };
      const timer = setTimeout(late, Math.max(1, until - this.#clock.now()));
      this.#waiting.add(go);
    });
  }

  /**
   * Gives the answer of a call that writes.
   * @throws UnknownOutcomeError, RedisOutOfMemoryError, RedisUnavailableError, AccessDeniedError
   */
  async write<Answer>(until: number, answer: Promise<Answer>): Promise<Answer> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new UnknownOutcomeError()),
        Math.max(1, until - this.#clock.now() + MARGIN_MS),
      );
    });
    try {
      return await Promise.race([answer, late]);
    } catch (cause) {
      throw this.failure(cause);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * The error that a caller gets if a call that writes fails with this cause. If Redis itself answers an
   * error, the script wrote nothing: it checks before it writes, and all its keys are declared in case slots
   * move.
   */
  failure(cause: unknown): Error {
    if (cause instanceof UnknownOutcomeError) return cause;
    return replyCode(cause) ? redisError(cause, this.#address) : new UnknownOutcomeError({ cause });
  }

  /** Gives the answer of a call that is safe to repeat. @throws RedisUnavailableError, AccessDeniedError */
  async read<Answer>(timeoutMs: number, call: () => Promise<Answer>): Promise<Answer> {
    const until = this.#clock.now() + timeoutMs;
    await this.ready(until);
    try {
      return await this.write(until, call());
    } catch (cause) {
      throw cause instanceof UnknownOutcomeError
        ? new RedisUnavailableError(this.#address, { cause })
        : cause;
    }
  }
}
