/**
 * How the trace of a call reaches the flush that writes its update: through a short list beside the partition's data, written
 * for sampled calls only and read after a claim. It is no part of the protocol: whatever happens to it, a link is missing.
 */
import { ConfigurationError } from '../errors.ts';

export type OpenTelemetry = typeof import('@opentelemetry/api');

/** Most calls of a partition that wait to be linked; further ones push the oldest out. */
export const TRACES_LIMIT = 128;
export const TRACES_TTL_MS = 60_000;

/** @throws ConfigurationError where the package is not there */
export async function loadOpenTelemetry(): Promise<OpenTelemetry> {
  try {
    return await import('@opentelemetry/api');
  } catch (cause) {
    throw new ConfigurationError(
      'Tracing is on, but the package @opentelemetry/api cannot be loaded; install it or turn tracing off.',
      { cause },
    );
  }
}
