// How the HTTP server ends: open requests are finished, and a connection that a client keeps does not hold it up.

import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { expect, it } from 'vitest';
import type { Sluice } from '../../src/producer/client.ts';
import { listenOn } from '../support/api.ts';
import { until } from '../support/engine.ts';

const accepted = { ok: true, value: 1, duplicate: false, text: 'x', persisted: async () => {} };
const sluice = { apply: async (updates: unknown[]) => updates.map(() => accepted) } as unknown as Sluice;
const open = () => listenOn(sluice, { counters: { views: {} } });

it('a stream that is open when the server closes ends, and so does its kept connection', async () => {
  const { api, port } = await open();
  const agent = new Agent({ keepAlive: true });
  const headers = { authorization: 'Bearer x', 'content-type': 'application/x-ndjson' };
  const sent = request({ port, agent, method: 'POST', path: '/v1/updates', headers });
  sent.write('{"counter":"views","key":"a"}\n');
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  const closed = api.close(10_000);
  await until(() => !api.app.server.listening, 'the end of listening');
  sent.end('{"counter":"views","key":"b"}\n');
  let text = '';
  for await (const part of response) text += part;
  expect(JSON.parse(text)).toMatchObject({ done: true, accepted: 2 });
  expect(await closed).toBe(true);
  agent.destroy();
});

it('a request that never ends is cut at the deadline', async () => {
  const { api, port } = await open();
  const headers = { authorization: 'Bearer x', 'content-type': 'application/x-ndjson' };
  const sent = request({ port, method: 'POST', path: '/v1/updates', headers });
  const cut = once(sent, 'close');
  sent.on('error', () => {});
  sent.write('{"counter":"views","key":"a"}\n');
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  response.on('error', () => {}).resume();
  expect(await api.close(100)).toBe(false);
  await cut;
});
