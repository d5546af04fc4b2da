// With tracing, a call's trace reaches the flush that writes its update; without it, nothing is recorded.

import { SpanStatusCode } from '@opentelemetry/api';
import { beforeAll, expect, it } from 'vitest';
import { TRACES_LIMIT } from '../../src/shared/telemetry/tracing.ts';
import type { Seam } from '../../src/worker/commit.ts';
import { Crash, openEngine, until } from '../support/engine.ts';
import { inSpan, type MadeSpan, recordSpans } from '../support/spans.ts';

let spans: MadeSpan[];
beforeAll(() => {
  spans = recordSpans();
});

const SAMPLED = 1;
let next = 1;
function caller(traceFlags = SAMPLED) {
  const number = (next++).toString(16);
  return { traceId: number.padStart(32, '0'), spanId: number.padStart(16, '0'), traceFlags };
}
const linksOf = (made: readonly MadeSpan[]) =>
  made.flatMap(span => span.options.links ?? []).map(link => link.context.traceId);

async function open() {
  const engine = await openEngine({ partitions: 1 });
  return { engine, producer: await engine.producer({}, { tracing: true }), key: engine.keys.of(0, 'traces') };
}

it('a flush is linked to the sampled calls whose updates it writes', async () => {
  const { engine, producer, key } = await open();
  const [one, two, unsampled, refused] = [caller(), caller(), caller(0), caller()];
  await inSpan(one, () => producer.counter('views').increment('a'));
  await inSpan(two, () =>
    producer.apply([
      { counter: 'views', key: 'a' },
      { points: 'loyalty', account: 'a', amount: 5, id: '1' },
    ]),
  );
  await inSpan(unsampled, () => producer.counter('views').increment('a'));
  await inSpan(refused, () => producer.points('loyalty').debit('a', 100, { id: '2' })).catch(() => {});
  await producer.counter('views').increment('a');
  // The account was cold, so its entry went in a micro-batch of its own.
  await until(async () => (await engine.redis.llen(key)) === 3, 'both calls');
  const from = spans.length;
  await engine.worker({}, {}, { tracing: true });
  await until(() => spans.slice(from).some(span => span.ended), 'the span of the flush');
  const [span] = spans.slice(from);
  expect(span).toMatchObject({
    name: 'sluice.flush',
    ended: true,
    attributes: { 'sluice.partition': 0, 'sluice.updates': 5, 'sluice.decision': 'apply', 'sluice.rows': 3 },
  });
  expect(linksOf([span!])).toEqual([one.traceId, two.traceId]);
  await until(async () => (await engine.redis.exists(key)) === 0, 'the calls to be forgotten');
  // The next batch has no sampled call, so it has no span.
  await producer.counter('views').increment('b');
  await until(async () => (await engine.counterInMysql('views', 'b')) === 1, 'the next flush');
  expect(spans.length).toBe(from + 1);
});

it('the span of a failed flush has its error, and the retry is linked to the same calls', async () => {
  const { engine, producer, key } = await open();
  const one = caller();
  await inSpan(one, () => producer.counter('views').increment('a'));
  await until(async () => (await engine.redis.llen(key)) === 1, 'the call');
  const from = spans.length;
  const failure = new Crash('written');
  let failures = 0;
  const seam: Seam = step => {
    if (step === 'written' && failures++ === 0) throw failure;
  };
  await engine.worker({ stuckAfterMs: 300 }, {}, { tracing: true, seam });
  await until(async () => (await engine.counterInMysql('views', 'a')) === 1, 'the second attempt');
  await until(() => spans.slice(from).filter(span => span.ended).length === 2, 'both spans');
  const [failed, written] = spans.slice(from);
  expect(failed).toMatchObject({
    name: 'sluice.flush',
    status: { code: SpanStatusCode.ERROR },
    exception: failure,
    attributes: { 'sluice.partition': 0, 'sluice.updates': 1 },
  });
  expect(failed!.attributes).not.toHaveProperty('sluice.decision');
  expect(written).toMatchObject({ attributes: { 'sluice.decision': 'apply' } });
  expect(written).not.toHaveProperty('status');
  expect([failed!, written!].map(span => linksOf([span]))).toEqual([[one.traceId], [one.traceId]]);
});

it('a call that was accepted after the claim is linked to the next batch', async () => {
  const { engine, producer, key } = await open();
  const [one, two] = [caller(), caller()];
  await inSpan(one, () => producer.counter('views').increment('a'));
  await engine.flight.claim(0);
  await inSpan(two, () => producer.counter('views').increment('a'));
  await until(async () => (await engine.redis.llen(key)) === 2, 'both calls');
  const from = spans.length;
  await engine.worker({ stuckAfterMs: 300 }, {}, { tracing: true });
  await until(() => spans.slice(from).filter(span => span.ended).length === 2, 'two flushes');
  expect(spans.slice(from).map(span => linksOf([span]))).toEqual([[one.traceId], [two.traceId]]);
});

it('the list of calls is bounded, and an unusable list stops no flush', async () => {
  const { engine, producer, key } = await open();
  const calls = Array.from({ length: TRACES_LIMIT + 50 }, () => caller());
  await Promise.all(calls.map(one => inSpan(one, () => producer.counter('views').increment('a'))));
  for (const one of calls) await inSpan(one, () => producer.counter('views').increment('a'));
  expect(await engine.redis.llen(key)).toBeLessThanOrEqual(TRACES_LIMIT);
  expect(await engine.redis.pttl(key)).toBeGreaterThan(0);
  // From now on neither producer nor worker can use the key.
  await engine.redis.set(key, 'in the way');
  await inSpan(caller(), () => producer.counter('views').increment('a'));
  await engine.worker({}, {}, { tracing: true });
  await until(async () => (await engine.counterInMysql('views', 'a')) === 2 * calls.length + 1, 'the flush');
});

it('tracing is off by default: no list is written, no span is made', async () => {
  const engine = await openEngine({ partitions: 1 });
  const producer = await engine.producer();
  const from = spans.length;
  await inSpan(caller(), () => producer.counter('views').increment('a'));
  await engine.worker();
  await until(async () => (await engine.counterInMysql('views', 'a')) === 1, 'the flush');
  expect(spans.length).toBe(from);
  expect(await engine.redis.exists(engine.keys.of(0, 'traces'))).toBe(0);
});
