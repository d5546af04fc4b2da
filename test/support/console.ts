/** The console's routes on the servers of an engine, called as its server calls them: after the checks of their schemas. */
import Fastify from 'fastify';
import type { Role } from '../../src/console/answers.ts';
import type { ConsoleParts } from '../../src/console/parts.ts';
import { type Answer, type Asker, handled, type Route } from '../../src/console/route.ts';
import { VerifyRuns } from '../../src/console/verify-runs.ts';
import { parseBody } from '../../src/http/json-body.ts';
import { problemOf } from '../../src/http/problem.ts';
import { parseQuery } from '../../src/http/query.ts';
import { RequestError } from '../../src/http/request-error.ts';
import { RunningOperations } from '../../src/http/running-operations.ts';
import { FailedUpdates } from '../../src/replay/failed.ts';
import { type DefinitionsInput, parseDefinitions } from '../../src/shared/config/definitions.ts';
import type { OpenServers } from '../../src/shared/open-servers.ts';
import { openQueue } from '../../src/shared/redis/queue.ts';
import { ColdReader } from '../../src/shared/values/cold-read.ts';
import { openTables } from '../../src/shared/values/mapping.ts';
import { type Engine, definitions as plain } from './engine.ts';

export interface Reply {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: each test knows its answer
  readonly body: any;
}

export function asker(role: Role = 'operator', more: Partial<Asker> = {}): Asker {
  return { name: 'olga', role, address: '192.0.2.7', seesPayloads: true, ...more };
}

/** Parts for the routes, on the connections of the engine's user. */
export async function consoleParts(engine: Engine, input: DefinitionsInput = plain): Promise<ConsoleParts> {
  const { keys, settings, aligner, inspector, log } = engine;
  const { redis, database } = engine.own;
  const definitions = parseDefinitions(input);
  const queue = openQueue(redis, keys);
  const tables = await openTables(database, definitions);
  const cold = new ColdReader(redis, 'test', database, keys, tables, aligner);
  const parts = { redis, address: 'test', database, keys, queue, inspector, tables, cold, aligner };
  const open: OpenServers = parts;
  const failed = new FailedUpdates({ ...parts, settings, definitions, log });
  const running = new RunningOperations(log);
  const verifyRuns = new VerifyRuns(log);
  engine.onClose(async () => {
    await running.close();
    await verifyRuns.close();
    await queue.close();
  });
  const config = { settings, namespace: engine.name } as ConsoleParts['config'];
  const sampler = { latest: undefined } as ConsoleParts['sampler'];
  return {
    ...{ config, definitions, log, running, verifyRuns, sampler },
    servers: () => open,
    failed: async () => failed,
  };
}

/** Calls a route with a path and a query, or a body, as a request has them. */
export function caller(routes: readonly Route[], parts: ConsoleParts, by: Asker = asker()) {
  const call = async (method: Route['method'], url: string, body?: string): Promise<Reply> => {
    try {
      const [path = '', query = ''] = url.split(/\?(.*)/s);
      const [route, params] = routeOf(routes, method, path);
      const { shape } = route;
      const checked = {
        params: shape.params ? check(shape.params, params) : undefined,
        query: shape.query ? check(shape.query, parseQuery(query)) : undefined,
        body: shape.body ? check(shape.body, parseBody(Buffer.from(body ?? ''))) : undefined,
        asker: by,
      };
      return await answered(route, checked, parts);
    } catch (error) {
      const problem = problemOf(error as Error);
      if (problem.code === 'INTERNAL') throw error;
      return { status: problem.status, body: problem };
    }
  };
  return {
    get: (url: string) => call('GET', url),
    post: (url: string, body: unknown) =>
      call('POST', url, typeof body === 'string' ? body : JSON.stringify(body)),
  };
}

function routeOf(
  routes: readonly Route[],
  method: Route['method'],
  path: string,
): [Route, Record<string, string>] {
  for (const route of routes) {
    const names = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
    const pattern = new RegExp(`^${route.path.replace(/[.]/g, '\\.').replace(/\{\w+\}/g, '([^/]+)')}$`);
    const [, ...values] = pattern.exec(path) ?? [];
    if (route.method === method && pattern.test(path))
      return [route, Object.fromEntries(names.map((name, at) => [name, decodeURIComponent(values[at]!)]))];
  }
  throw new RequestError('NOT_FOUND', `There is no ${method} ${path}.`);
}

function check(schema: NonNullable<Route['shape']['body']>, value: unknown): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new RequestError('INVALID_REQUEST', parsed.error.message);
}

/** In a server of its own, since a stream writes into the reply. */
async function answered(route: Route, checked: object, parts: ConsoleParts): Promise<Reply> {
  const server = Fastify();
  let failure: unknown;
  server.get('/', async (_request, reply) => {
    try {
      const answer: Answer | undefined = await handled(route, { ...checked, reply } as never, parts);
      if (answer) return await reply.code(answer.status ?? 200).send(answer.body);
      return await reply;
    } catch (error) {
      failure = error;
      return reply.code(500).send();
    }
  });
  const response = await server.inject('/');
  await server.close();
  if (failure) throw failure;
  const isJson = String(response.headers['content-type']).startsWith('application/json');
  return { status: response.statusCode, body: isJson ? response.json() : response.body };
}
