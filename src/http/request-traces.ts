/** The trace of a request: its `traceparent` links the request to the flush that writes its updates. */

import { loadOpenTelemetry } from '../shared/telemetry/tracing.ts';
import type { InTrace } from './handler.ts';

/** @throws ConfigurationError if OpenTelemetry is not installed */
export async function requestTraces(): Promise<InTrace> {
  const { context, propagation, trace } = await loadOpenTelemetry();
  return (headers, run) => {
    // An instrumentation of node:http has made a span of its own already.
    if (trace.getActiveSpan() || headers.traceparent === undefined) return run();
    return context.with(propagation.extract(context.active(), headers), run);
  };
}
