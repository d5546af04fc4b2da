/** The span of a flush, for batches with updates of sampled calls. It links to the spans of the calls. */
import type { Span } from '@opentelemetry/api';
import { within } from '../shared/clock.ts';
import { packageVersion } from '../shared/config/version.ts';
import type { RedisConnection } from '../shared/redis/connections.ts';
import type { Keys } from '../shared/redis/keys.ts';
import { type OpenTelemetry, TRACES_LIMIT } from '../shared/telemetry/tracing.ts';
import type { Batch } from './batch.ts';
import type { CommitResult } from './commit.ts';

interface FlushSpan {
  end(result: CommitResult): void;
  fail(error: unknown): void;
}

/** Gives a batch its span, or none. Never rejects, and answers in bounded time. */
export type FlushTracing = (batch: Batch) => Promise<FlushSpan | undefined>;

const ANSWER_MS = 250;

export function flushTracing(redis: RedisConnection, keys: Keys, api: OpenTelemetry): FlushTracing {
  const tracer = api.trace.getTracer('sluice', packageVersion());
  /** Without calls after the claim, which belong to the next batch. */
  const callsOf = async (batch: Batch) => {
    const key = keys.of(batch.partition, 'traces');
    const found = (await within(redis.lrange(key, 0, TRACES_LIMIT - 1), ANSWER_MS)) ?? [];
    const after = found.findIndex(element => Number.parseInt(element, 10) > batch.claimed);
    return after < 0 ? found : found.slice(0, after);
  };
  const forget = async (batch: Batch) => {
    const { length } = await callsOf(batch);
    await redis.ltrim(keys.of(batch.partition, 'traces'), length, -1);
  };
  return async batch => {
    const own = await callsOf(batch);
    if (own.length === 0) return undefined;
    // A call with updates in several micro-batches is there several times.
    const calls = new Set(own.map(element => element.slice(element.indexOf(' ') + 1)));
    const links = [...calls].map(call => {
      const [traceId = '', spanId = '', flags] = call.split(' ');
      return { context: { traceId, spanId, traceFlags: Number(flags), isRemote: true } };
    });
    const span = tracer.startSpan('sluice.flush', {
      kind: api.SpanKind.CONSUMER,
      root: true,
      links,
      attributes: {
        'sluice.partition': batch.partition,
        'sluice.sequence': batch.sequence,
        'sluice.updates': batch.updates,
      },
    });
    // Only then: a failed batch is retried and needs its calls again.
    return ending(span, api, () => void forget(batch).catch(() => {}));
  };
}

function ending(span: Span, { SpanStatusCode }: OpenTelemetry, forget: () => void): FlushSpan {
  return {
    end(result) {
      if (result.decision !== 'stop') forget();
      span.setAttribute('sluice.decision', result.decision);
      if ('rows' in result) span.setAttribute('sluice.rows', result.rows);
      span.end();
    },
    fail(error) {
      span.recordException(error as Error);
      span.setStatus({ code: SpanStatusCode.ERROR });
      span.end();
    },
  };
}
