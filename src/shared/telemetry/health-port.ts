/** /healthz, /readyz and /metrics on one port, without authentication: keep it off public networks. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';

/** `ready` decides the status of /readyz, and all fields are its answer. */
interface ReadyAnswer {
  readonly ready: boolean;
}

export interface HealthParts {
  readonly registry: Registry;
  /** Must not reject. */
  readiness(): Promise<ReadyAnswer>;
}

/** @param port 0 for any free one @throws the error of `listen`, such as EADDRINUSE */
export async function listenForHealth(
  parts: HealthParts,
  host: string,
  port: number,
): Promise<{ server: Server; port: number }> {
  const server = createServer((request, response) => {
    const answer = (status: number, type: string, body: string) => {
      response
        .writeHead(status, { 'content-type': type, 'cache-control': 'no-store' })
        .end(request.method === 'HEAD' ? undefined : body);
    };
    const path = request.url?.split('?')[0];
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return answer(405, 'text/plain', 'Only GET is supported.\n');
    if (path === '/healthz') return answer(200, 'application/json', '{"status":"ok"}\n');
    if (path === '/readyz') {
      parts
        .readiness()
        .then(state => answer(state.ready ? 200 : 503, 'application/json', `${JSON.stringify(state)}\n`));
    } else if (path === '/metrics') {
      parts.registry.metrics().then(
        text => answer(200, parts.registry.contentType, text),
        () => answer(503, 'text/plain', 'Redis or the database did not answer; see /readyz.\n'),
      );
    } else answer(404, 'text/plain', 'Known paths: /healthz, /readyz, /metrics.\n');
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return { server, port: (server.address() as AddressInfo).port };
}
