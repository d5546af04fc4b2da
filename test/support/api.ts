/** The HTTP API in this process, on an engine's servers. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { Registry } from 'prom-client';
import { createApi } from '../../src/http/api.ts';
import type { InTrace } from '../../src/http/handler.ts';
import { KeyRing } from '../../src/http/key-ring.ts';
import { KeyStore, type Rights } from '../../src/http/key-store.ts';
import { ApiMetrics } from '../../src/http/metrics.ts';
import { RunningOperations } from '../../src/http/running-operations.ts';
import type { HttpServer } from '../../src/http/server.ts';
import type { Sluice } from '../../src/producer/client.ts';
import { type FailedUpdates, openFailed } from '../../src/replay/index.ts';
import { type ApiConfig, readApi } from '../../src/shared/config/api.ts';
import { type DefinitionsInput, parseDefinitions } from '../../src/shared/config/definitions.ts';
import { createLog } from '../../src/shared/log.ts';
import { type definitions, type Engine, definitions as preset } from './engine.ts';

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // Tests look into any answer.
  // biome-ignore lint/suspicious/noExplicitAny: the answer is what the test is about
  readonly json: any;
}

interface Sent {
  readonly method?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  /** Instead of the key of the test. */
  readonly key?: string | null;
}

export type TestApi = Awaited<ReturnType<typeof openApi>>;

const RIGHTS = { scopes: ['write'], rate: 0, name: 'test', id: 'test' };

/** The HTTP API on an engine that a test makes up, for any key. */
export async function listenOn(
  sluice: Sluice,
  definitions: DefinitionsInput,
): Promise<{ api: HttpServer; port: number }> {
  const log = createLog('silent', 'stderr');
  const api = createApi(
    {
      sluice,
      definitions: parseDefinitions(definitions),
      ring: { find: () => RIGHTS, has: () => true } as unknown as KeyRing,
      log,
      addresses: { redis: 'test', database: 'test' },
      metrics: new ApiMetrics(new Registry()),
      running: new RunningOperations(log),
      failed: undefined as never,
    },
    { ...readApi(() => undefined), port: 0 },
  );
  return { api, port: await api.listen() };
}

/**
 * @param given `definitions` other than those of the engine; `mysqlUrl`, such as that of a proxy, and `between` are for
 * failed updates only
 */
export async function openApi(
  engine: Engine,
  config: Partial<ApiConfig> = {},
  given: {
    sluice?: Sluice;
    definitions?: DefinitionsInput;
    log?: typeof engine.log;
    trace?: InTrace;
    mysqlUrl?: string;
    between?: (failed: FailedUpdates) => Partial<FailedUpdates>;
  } = {},
) {
  const store = new KeyStore(engine.own.database);
  const { key } = await store.create(
    `test-${Math.random().toString(36).slice(2)}`,
    { scopes: ['read', 'write', 'operate'] },
    null,
  );
  const log = given.log ?? engine.log;
  const ring = new KeyRing(store, log);
  await ring.start();
  const sluice =
    given.sluice ??
    ((await engine.producer(
      {},
      { definitions: (given.definitions ?? preset) as typeof definitions },
    )) as Sluice);
  const running = new RunningOperations(log);
  const registry = new Registry();
  const failed = () =>
    openFailed({
      redis: engine.redisUrl,
      mysql: given.mysqlUrl ?? engine.mysqlUrl,
      definitions: given.definitions ?? preset,
      namespace: engine.name,
      settings: engine.settings,
    });
  let opened: ReturnType<typeof failed> | undefined;
  const api = createApi(
    {
      sluice,
      definitions: parseDefinitions(given.definitions ?? preset),
      ring,
      log,
      addresses: { redis: 'test', database: 'test' },
      metrics: new ApiMetrics(registry),
      running,
      trace: given.trace,
      failed: async () => {
        opened ??= failed();
        const made = await opened;
        return given.between ? (given.between(made) as FailedUpdates) : made;
      },
    },
    { ...readApi(() => undefined), port: 0, rate: 0, ...config },
  );
  const port = await api.listen();
  engine.onClose(async () => {
    await api.close(0);
    await running.close();
    await (await opened)?.close();
    await ring.stop();
  });
  const base = `http://127.0.0.1:${port}`;
  const send = async (
    path: string,
    { method, body, headers = {}, key: other = key }: Sent = {},
  ): Promise<Reply> => {
    const text = typeof body === 'string' || body === undefined ? body : JSON.stringify(body);
    const response = await fetch(base + path, {
      method: method ?? (body === undefined ? 'GET' : 'POST'),
      headers: {
        ...(other === null ? {} : { authorization: `Bearer ${other}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(text === undefined ? {} : { body: text }),
    });
    return replyOf(response.status, response.headers, await response.text());
  };
  return {
    api,
    definitions: parseDefinitions(given.definitions ?? preset),
    registry,
    port,
    base,
    key,
    ring,
    store,
    sluice,
    get: (path: string, more: Sent = {}) => send(path, more),
    post: (path: string, body: unknown, more: Sent = {}) => send(path, { body, ...more }),
    send,
    keyWith: async (rights: Rights, expiresAt: Date | null = null) =>
      (await store.create(`k${Math.random().toString(36).slice(2)}`, rights, expiresAt)).key,
    /** Sends bytes as they are, and gives all that the server answers until it closes the connection. */
    raw: (bytes: string | Buffer) => rawExchange(port, bytes),
    /** Sends a target as it is, which fetch would tidy up. */
    target: (path: string, headers: Record<string, string> = {}, method = 'GET', body?: string) =>
      exactTarget(port, path, headers, method, body),
  };
}

function replyOf(status: number, headers: Headers, text: string): Reply {
  return {
    status,
    headers,
    text,
    get json() {
      return JSON.parse(text);
    },
  };
}

function exactTarget(
  port: number,
  path: string,
  headers: Record<string, string>,
  method: string,
  body?: string,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      { host: '127.0.0.1', port, path, method, headers },
      (response: IncomingMessage) => {
        const parts: Buffer[] = [];
        response.on('data', part => parts.push(part));
        response.on('end', () =>
          resolve(
            replyOf(
              response.statusCode!,
              new Headers(response.headers as Record<string, string>),
              Buffer.concat(parts).toString(),
            ),
          ),
        );
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

function rawExchange(port: number, bytes: string | Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.on('data', part => parts.push(part));
    socket.on('error', reject);
    socket.on('close', () => resolve(Buffer.concat(parts).toString()));
  });
}
