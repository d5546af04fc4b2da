// The trace of an HTTP request reaches the flush that writes its updates.

import { trace } from '@opentelemetry/api';
import { beforeAll, expect, it } from 'vitest';
import type { InTrace } from '../../src/http/handler.ts';
import { requestTraces } from '../../src/http/request-traces.ts';
import type { Sluice } from '../../src/producer/client.ts';
import { openApi } from '../support/api.ts';
import { openEngine, until } from '../support/engine.ts';
import { inSpan, type MadeSpan, propagateTraces, recordSpans } from '../support/spans.ts';

let spans: MadeSpan[];
let inTrace: InTrace;
beforeAll(async () => {
  spans = recordSpans();
  propagateTraces();
  inTrace = await requestTraces();
});

let next = 1;
function caller(flags = '01') {
  const number = (next++).toString(16);
  const [traceId, spanId] = [number.padStart(32, 'a'), number.padStart(16, 'b')];
  return { traceId, spanId, header: { traceparent: `00-${traceId}-${spanId}-${flags}` } };
}

it('a flush is linked to the sampled requests whose updates it writes, of every form', async () => {
  const engine = await openEngine({ partitions: 1 });
  const sluice = (await engine.producer({}, { tracing: true })) as Sluice;
  const api = await openApi(engine, {}, { sluice, trace: inTrace });
  const [single, points, array, stream, unsampled] = [caller(), caller(), caller(), caller(), caller('00')];
  const view = { counter: 'views', key: 'a' };
  const send = async (path: string, body: unknown, headers: Record<string, string>) =>
    expect((await api.post(path, body, { headers })).status).toBeLessThan(300);
  await send('/v1/counters/views', { key: 'a' }, single.header);
  await send('/v1/points/loyalty/entries', { account: 'a', amount: 5, id: '1' }, points.header);
  await send('/v1/updates', [view, view], array.header);
  const ndjson = { 'content-type': 'application/x-ndjson' };
  await send('/v1/updates', `${JSON.stringify(view)}\n`.repeat(2500), { ...ndjson, ...stream.header });
  await send('/v1/counters/views', { key: 'a' }, unsampled.header);
  await send('/v1/counters/views', { key: 'a' }, {});
  const known = [single, points, array, stream];
  const key = engine.keys.of(0, 'traces');
  await until(async () => {
    const list = (await engine.redis.lrange(key, 0, -1)).join();
    return known.every(({ traceId }) => list.includes(traceId));
  }, 'all sampled requests');
  const from = spans.length;
  await engine.worker({}, {}, { tracing: true });
  // A flush does not wait long for the traces. If it goes without them, the next one has them.
  await until(async () => {
    await (await sluice.counter('views').increment('a')).persisted();
    return spans.slice(from).some(span => span.ended);
  }, 'a flush with a span');
  const links = spans.slice(from).flatMap(({ options }) => options.links ?? []);
  expect([...new Set(links.map(({ context }) => context.traceId))]).toEqual(known.map(one => one.traceId));
  expect(links.map(({ context }) => context.spanId)).toContain(single.spanId);
});

it('the span of an instrumentation goes before the header, and a wrong header changes nothing', () => {
  const [outer, other] = [caller(), caller()];
  const span = { traceId: outer.traceId, spanId: outer.spanId, traceFlags: 1 };
  const active = () => trace.getActiveSpan()?.spanContext().traceId;
  expect(inSpan(span, () => inTrace(other.header, active))).toBe(outer.traceId);
  expect(inTrace(other.header, active)).toBe(other.traceId);
  expect(inTrace({ traceparent: 'nonsense' }, active)).toBeUndefined();
  expect(inTrace({}, active)).toBeUndefined();
});
