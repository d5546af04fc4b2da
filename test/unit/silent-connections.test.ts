// Connections without a request: they hold up no end of the HTTP server, and no request is cut for them.

import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { beforeAll, expect, it } from 'vitest';
import { makeCertificates } from '../../scripts/servers/certificates.ts';
import { HttpServer, type ServerConfig } from '../../src/http/server.ts';
import { createLog } from '../../src/shared/log.ts';
import { cleanUp } from '../support/cleanup.ts';
import { until } from '../support/engine.ts';
import { temporaryFolder } from '../support/servers.ts';

/** Far beyond what any end may take, and within what a test may. */
const DEADLINE_MS = 20_000;
const LONG_MS = 600_000;

let tls: NonNullable<ServerConfig['tls']>;
beforeAll(async () => {
  tls = await makeCertificates(await temporaryFolder());
});

/** With a route `/slow`, which answers when `answer` is called. */
async function open(more: Partial<ServerConfig> = {}) {
  const times = { headersMs: LONG_MS, bodyMs: LONG_MS, idleMs: LONG_MS, keepAliveMs: LONG_MS };
  const config = { host: '127.0.0.1', port: 0, tls: undefined, trustedProxies: [], connections: 100 };
  const server = new HttpServer({ ...config, ...times, ...more }, createLog('silent', 'stderr'));
  const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
  server.app.get('/slow', async () => {
    ask();
    await answered;
    return 'done';
  });
  cleanUp(async () => {
    answer();
    await server.close(0);
  });
  return { server, port: await server.listen(), answer, asked };
}

/** What the server knows of, also a connection without the end of its handshake. */
function connected(server: HttpServer, count: number) {
  return until(async () => {
    const { promise, resolve } = Promise.withResolvers<number>();
    server.app.server.getConnections((_, found) => resolve(found));
    return (await promise) === count;
  }, `${count} connections`);
}

/** A client that breaks nothing if it is cut. */
function silent<Client extends Socket>(client: Client): Client {
  cleanUp(() => client.destroy());
  return client.on('error', () => {});
}

it('a connection that never sent anything does not hold up the end', async () => {
  const { server, port } = await open();
  silent(connect(port, '127.0.0.1'));
  await connected(server, 1);
  expect(await server.close(DEADLINE_MS)).toBe(true);
});

it('nor does one under TLS, before and after its handshake', async () => {
  const { server, port } = await open({ tls });
  silent(connect(port, '127.0.0.1'));
  await once(silent(connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })), 'secureConnect');
  await connected(server, 2);
  expect(await server.close(DEADLINE_MS)).toBe(true);
});

it('a head that never ends has no more time than otherwise', async () => {
  const { server, port } = await open({ headersMs: 300 });
  const client = silent(connect(port, '127.0.0.1'));
  const received = once(server.app.server, 'connection').then(([socket]) => socket as Socket);
  client.write('GET /slow HTTP/1.1\r\nHost: x\r\n');
  const socket = await received;
  await until(() => socket.bytesRead > 0, 'a part of the head');
  expect(await server.close(DEADLINE_MS)).toBe(true);
});

it('an open request has its answer, while connections without one end', async () => {
  const { server, port, answer, asked } = await open();
  const sent = request({ port, path: '/slow' }).end();
  await asked;
  const client = silent(connect(port, '127.0.0.1'));
  await connected(server, 2);
  const closed = server.close(DEADLINE_MS);
  await once(client.resume(), 'close');
  answer();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  expect(response.statusCode).toBe(200);
  response.resume();
  expect(await closed).toBe(true);
});

it('the deadline cuts a request under TLS', async () => {
  const { server, port, asked } = await open({ tls });
  const client = silent(connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false }));
  client.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n');
  await asked;
  silent(connect(port, '127.0.0.1'));
  await connected(server, 2);
  expect(await server.close(200)).toBe(false);
});

it('a handshake may take as long as a head', async () => {
  const { server, port } = await open({ tls, headersMs: 300 });
  const client = silent(connect(port, '127.0.0.1'));
  await connected(server, 1);
  await once(client.resume(), 'close');
});
