/** Leaves the spans of sampled calls where the flush of their updates finds them. */
import type { Keys } from '../shared/keys.ts';
import type { RedisConnection } from '../shared/redis.ts';
import { type OpenTelemetry, TRACES_LIMIT, TRACES_TTL_MS, tracesKey } from '../shared/tracing.ts';
import type { Mark } from './waiting.ts';

export class CallTraces {
  readonly #redis: RedisConnection;
  readonly #keys: Keys;
  readonly #api: OpenTelemetry;
  /** By partition: the calls of this turn of the event loop. */
  #noted = new Map<number, Map<string, number>>();
  #sending: Promise<void> | undefined;

  constructor(redis: RedisConnection, keys: Keys, api: OpenTelemetry) {
    this.#redis = redis;
    this.#keys = keys;
    this.#api = api;
  }

  /** The caller's span, or undefined where it has none or it is not sampled. */
  current(): string | undefined {
    const { trace, TraceFlags } = this.#api;
    const span = trace.getActiveSpan()?.spanContext();
    if (!span || !(span.traceFlags & TraceFlags.SAMPLED)) return undefined;
    return `${span.traceId} ${span.spanId} ${span.traceFlags}`;
  }

  /** An update of that call was accepted. */
  note({ partition, updates }: Mark, span: string): void {
    let spans = this.#noted.get(partition);
    if (!spans) {
      spans = new Map();
      this.#noted.set(partition, spans);
    }
    if (spans.size < TRACES_LIMIT && !spans.has(span)) spans.set(span, updates);
    this.#sending ??= new Promise<void>(resolve => setImmediate(resolve)).then(() => this.#send());
  }

  /** Resolves when what was noted is sent. Never rejects. */
  async settled(): Promise<void> {
    await this.#sending;
  }

  async #send(): Promise<void> {
    const noted = this.#noted;
    this.#noted = new Map();
    this.#sending = undefined;
    const sent = [...noted].map(([partition, spans]) => {
      const key = tracesKey(this.#keys, partition);
      const elements = [...spans].map(([span, updates]) => `${updates} ${span}`);
      return this.#redis
        .pipeline()
        .rpush(key, ...elements)
        .ltrim(key, -TRACES_LIMIT, -1)
        .pexpire(key, TRACES_TTL_MS)
        .exec();
    });
    await Promise.allSettled(sent);
  }
}
