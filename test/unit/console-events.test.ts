// The stream of samples ends with the server, whatever its browser does.

import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { expect, it } from 'vitest';
import type { Sample } from '../../src/console/answers.ts';
import { sendEvents } from '../../src/console/events.ts';
import { HttpServer } from '../../src/http/server.ts';
import { createLog } from '../../src/shared/log.ts';
import { cleanUp } from '../support/cleanup.ts';
import { until } from '../support/engine.ts';

/** Far beyond what any end may take, and within what a test may. */
const DEADLINE_MS = 20_000;
const LONG_MS = 120_000;

/** A server whose samples are large, so that few of them fill what the system keeps for a browser. */
async function open() {
  const times = { headersMs: LONG_MS, bodyMs: LONG_MS, idleMs: LONG_MS, keepAliveMs: LONG_MS };
  const config = { host: '127.0.0.1', port: 0, tls: undefined, trustedProxies: [], connections: 10 };
  const server = new HttpServer({ ...config, ...times }, createLog('silent', 'stderr'));
  const listeners = new Set<(sample: Sample) => void>();
  const sampler = {
    latest: { at: 'now' } as Sample,
    subscribe(listener: (sample: Sample) => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  let behind = () => 0;
  server.app.get('/events', (_, reply) => {
    behind = () => reply.raw.writableLength;
    sendEvents(reply, sampler, async () => true, server.closing);
  });
  cleanUp(() => server.close(0));
  const port = await server.listen();
  const [answer] = (await once(get({ port, path: '/events' }), 'response')) as [IncomingMessage];
  cleanUp(() => answer.destroy());
  answer.on('error', () => {});
  const sendSample = () => {
    for (const listener of listeners) listener({ at: 'x'.repeat(200_000) } as Sample);
  };
  return { server, answer, sendSample, behind: () => behind(), listeners };
}

it('a stream is complete when its server closes', async () => {
  const { server, answer, listeners } = await open();
  const ended = once(answer.resume(), 'close');
  expect(await server.close(DEADLINE_MS)).toBe(true);
  await ended;
  expect(answer.complete).toBe(true);
  expect(listeners.size).toBe(0);
});

it('a browser that reads nothing does not hold up the end', async () => {
  const { server, answer, sendSample, behind } = await open();
  answer.pause();
  await until(() => {
    sendSample();
    return behind() > 200_000;
  }, 'a browser that is behind');
  expect(await server.close(DEADLINE_MS)).toBe(true);
});
