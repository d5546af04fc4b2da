/** The stream of samples, as server-sent events. */
import type { FastifyReply } from 'fastify';
import type { Sample } from './answers.ts';
import type { Sampler } from './sampler.ts';

/** A comment at least so often: proxies close a connection that is silent. */
const HEARTBEAT_MS = 15_000;
/** How often a login is asked again whether it still counts. */
const CHECK_MS = 5000;
/** Bytes that a browser may be behind; then samples are left out. */
const BEHIND = 256 * 1024;

/**
 * Answers with a stream that ends when the browser goes away, the login ends or the server closes.
 * @param isStillAllowed whether the login still counts
 * @param closing aborted when the server closes
 */
export function sendEvents(
  reply: FastifyReply,
  sampler: Pick<Sampler, 'latest' | 'subscribe'>,
  isStillAllowed: () => Promise<boolean>,
  closing: AbortSignal,
): void {
  reply.hijack();
  const { raw } = reply;
  for (const [name, value] of Object.entries(reply.getHeaders()))
    if (value !== undefined) raw.setHeader(name, value);
  raw.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    // nginx and others would keep events back.
    'x-accel-buffering': 'no',
  });
  if (closing.aborted) {
    raw.end();
    return;
  }
  const send = (sample: Sample) => {
    if (raw.writableLength < BEHIND) raw.write(`event: sample\ndata: ${JSON.stringify(sample)}\n\n`);
  };
  // Some proxies pass nothing on before the first kilobyte.
  raw.write(`retry: 2000\n:${' '.repeat(1024)}\n\n`);
  if (sampler.latest) send(sampler.latest);
  const unsubscribe = sampler.subscribe(send);
  const heartbeat = setInterval(() => raw.write(':\n\n'), HEARTBEAT_MS);
  const check = setInterval(() => {
    isStillAllowed().then(
      allowed => allowed || raw.end(),
      () => raw.end(),
    );
  }, CHECK_MS);
  const end = () => raw.end();
  closing.addEventListener('abort', end);
  raw.on('error', () => {});
  raw.once('close', () => {
    closing.removeEventListener('abort', end);
    unsubscribe();
    clearInterval(heartbeat);
    clearInterval(check);
  });
}
