/** Writes the spans of sampled calls to Redis, for the flush of their updates to link to. */
import { within } from '../shared/clock.ts';
import type { RedisConnection } from '../shared/redis/connections.ts';
import type { Keys } from '../shared/redis/keys.ts';
import { type OpenTelemetry, TRACES_LIMIT, TRACES_TTL_MS } from '../shared/telemetry/tracing.ts';
import type { Mark } from './waiting.ts';

/** Longest wait for Redis when the producer closes. */
const CLOSE_MS = 500;

export class CallTraces {
  readonly #redis: RedisConnection;
  readonly #keys: Keys;
  readonly #api: OpenTelemetry;
  /** By partition: spans since the last sending began, each with the update count of its first update. */
  #noted = new Map<number, Map<string, number>>();
  #sending: Promise<void> | undefined;

  constructor(redis: RedisConnection, keys: Keys, api: OpenTelemetry) {
    this.#redis = redis;
    this.#keys = keys;
    this.#api = api;
  }

  /** The caller's span; undefined if it has none, or one that is not sampled. */
  current(): string | undefined {
    const { trace, TraceFlags } = this.#api;
    const span = trace.getActiveSpan()?.spanContext();
    if (!span || !(span.traceFlags & TraceFlags.SAMPLED)) return undefined;
    return `${span.traceId} ${span.spanId} ${span.traceFlags}`;
  }

  /** Notes the call of an accepted update. */
  note({ partition, updates }: Mark, span: string): void {
    let spans = this.#noted.get(partition);
    if (!spans) {
      spans = new Map();
      this.#noted.set(partition, spans);
    }
    if (spans.size < TRACES_LIMIT && !spans.has(span)) spans.set(span, updates);
    this.#sending ??= new Promise<void>(resolve => setImmediate(resolve)).then(() => this.#send());
  }

  /** Resolves when all noted spans are sent, in bounded time. Never rejects. */
  async drained(): Promise<void> {
    await within(this.#sending ?? Promise.resolve(), CLOSE_MS);
  }

  async #send(): Promise<void> {
    while (this.#noted.size > 0) {
      const noted = this.#noted;
      this.#noted = new Map();
      await Promise.allSettled([...noted].map(([partition, spans]) => this.#push(partition, spans)));
    }
    this.#sending = undefined;
  }

  #push(partition: number, spans: ReadonlyMap<string, number>): Promise<unknown> {
    const key = this.#keys.of(partition, 'traces');
    const elements = [...spans].map(([span, updates]) => `${updates} ${span}`);
    return this.#redis
      .pipeline()
      .rpush(key, ...elements)
      .ltrim(key, -TRACES_LIMIT, -1)
      .pexpire(key, TRACES_TTL_MS)
      .exec();
  }
}
