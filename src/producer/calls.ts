/** Calls to Redis that end in time: ioredis alone would wait for a lost server for ever. */
import type { Clock } from '../shared/clock.ts';
import { RedisUnavailableError, UnknownOutcomeError } from '../shared/errors.ts';
import { type RedisConnection, unavailable } from '../shared/redis.ts';
import { redisError, replyCode } from '../shared/redis-errors.ts';

/** For an answer that is on its way when the deadline strikes; Redis refuses the call itself from the deadline on. */
const MARGIN_MS = 100;

export class Calls {
  readonly #redis: RedisConnection;
  readonly #place: string;
  readonly #clock: Clock;
  /** Calls that wait for a connection: one listener for all, however many they are. */
  readonly #waiting = new Set<() => void>();

  constructor(redis: RedisConnection, place: string, clock: Clock) {
    this.#redis = redis;
    this.#place = place;
    this.#clock = clock;
    redis.on('ready', () => {
      for (const go of this.#waiting) go();
    });
  }

  /**
   * Waits for a usable connection. Nothing was sent yet, so a failure is certain.
   * @throws RedisUnavailableError, or what keeps the connection from being made: AccessDeniedError, RedisUnsuitableError
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
        reject(unavailable(this.#redis, this.#place));
      };
      const timer = setTimeout(late, Math.max(1, until - this.#clock.now()));
      this.#waiting.add(go);
    });
  }

  /**
   * The answer of a call that writes, or the error that its absence means.
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
      if (cause instanceof UnknownOutcomeError) throw cause;
      // An error that Redis itself answered means that the script did not write: it checks before, and where slots move
      // all its keys are declared.
      throw replyCode(cause) ? redisError(cause, this.#place) : new UnknownOutcomeError({ cause });
    } finally {
      clearTimeout(timer);
    }
  }

  /** The answer of a call that may as well be repeated. @throws RedisUnavailableError, AccessDeniedError */
  async read<Answer>(timeoutMs: number, call: () => Promise<Answer>): Promise<Answer> {
    const until = this.#clock.now() + timeoutMs;
    await this.ready(until);
    try {
      return await this.write(until, call());
    } catch (cause) {
      throw cause instanceof UnknownOutcomeError ? new RedisUnavailableError(this.#place, { cause }) : cause;
    }
  }
}
