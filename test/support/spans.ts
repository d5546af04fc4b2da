/** A minimal OpenTelemetry for tests: the active context, and all spans with their end. */
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type Attributes,
  type Context,
  type ContextManager,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  type SpanOptions,
  type SpanStatus,
  type TracerProvider,
  trace,
} from '@opentelemetry/api';

export interface MadeSpan {
  readonly name: string;
  readonly options: SpanOptions;
  readonly attributes: Attributes;
  exception?: unknown;
  status?: SpanStatus;
  ended: boolean;
}

/** Registers the header `traceparent` of W3C, as an SDK does. */
export function propagateTraces(): void {
  propagation.setGlobalPropagator({
    inject: () => {},
    fields: () => ['traceparent'],
    extract(one, carrier, { get }) {
      const [, traceId, spanId, flags] =
        /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(String(get(carrier, 'traceparent'))) ?? [];
      if (!traceId || !spanId) return one;
      const traceFlags = Number.parseInt(flags!, 16);
      return trace.setSpanContext(one, { traceId, spanId, traceFlags, isRemote: true });
    },
  });
}

/** Registers it for this process; returns the spans that are made from now on. */
export function recordSpans(): MadeSpan[] {
  const made: MadeSpan[] = [];
  const active = new AsyncLocalStorage<Context>();
  const manager: ContextManager = {
    active: () => active.getStore() ?? ROOT_CONTEXT,
    with: (one, run, self, ...args) => active.run(one, () => run.call(self as never, ...args)),
    bind: (_, target) => target,
    enable: () => manager,
    disable: () => manager,
  };
  const provider: TracerProvider = {
    getTracer: () => ({
      startSpan(name, options = {}) {
        const span: MadeSpan = { name, options, attributes: { ...options.attributes }, ended: false };
        made.push(span);
        return {
          setAttribute(key: string, value: string) {
            span.attributes[key] = value;
          },
          setStatus(status: SpanStatus) {
            span.status = status;
          },
          recordException(error: unknown) {
            span.exception = error;
          },
          end() {
            span.ended = true;
          },
        } as unknown as Span;
      },
      startActiveSpan: () => {
        throw new Error('not used');
      },
    }),
  };
  // Files of one process share the API, and it keeps what was registered first.
  context.disable();
  trace.disable();
  context.setGlobalContextManager(manager);
  trace.setGlobalTracerProvider(provider);
  return made;
}

/** Runs a function inside a caller's span. */
export function inSpan<Result>(span: SpanContext, run: () => Result): Result {
  return context.with(trace.setSpanContext(context.active(), span), run);
}
