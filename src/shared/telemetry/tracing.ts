/**
 * Carries the trace of a call to the flush that writes its update: through a short list beside the
 * partition's data, written for sampled calls only and read after a claim. It is not part of the protocol: if
 * the list is lost, only links are.
 */
import { ConfigurationError } from '../errors.ts';

export type OpenTelemetry = typeof import('@opentelemetry/api');

/** Most calls of a partition that wait for their link; further ones push out the oldest. */
export const TRACES_LIMIT = 128;
export const TRACES_TTL_MS = 60_000;

/** @throws ConfigurationError if the package is not installed */
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
