/** Headers of every answer: what a browser may do with it. */
import type { ConsoleConfig } from '../shared/config/console.ts';

/** Nothing but the console's own files, no inline script or style, and no frame of another site around it. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

export function headersOf({ tls, origins }: ConsoleConfig): Record<string, string> {
  const isHttps = tls !== undefined || origins.some(origin => origin.startsWith('https:'));
  return {
    'content-security-policy': POLICY,
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': 'camera=(), geolocation=(), microphone=()',
    // Addresses hold keys and accounts.
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    // The page's files say otherwise.
    'cache-control': 'no-store',
    ...(isHttps ? { 'strict-transport-security': 'max-age=31536000' } : {}),
  };
}
