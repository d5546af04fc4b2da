/** The console's server on the servers of an engine, asked as a browser asks it, and as one that lies. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { ConsoleAccess } from '../../src/console/access.ts';
import type { Role } from '../../src/console/answers.ts';
import { type LoginRoute, loginRoutes, registerLogin } from '../../src/console/login.ts';
import { LoginLimits } from '../../src/console/login-limits.ts';
import { OpenId } from '../../src/console/openid.ts';
import { openIdRoutes } from '../../src/console/openid-routes.ts';
import { Sessions } from '../../src/console/sessions.ts';
import { Users } from '../../src/console/users.ts';
import { RequestError } from '../../src/http/request-error.ts';
import { answerError, HttpServer } from '../../src/http/server.ts';
import { readConfig } from '../../src/shared/config/config.ts';
import type { Engine } from './engine.ts';

export const PASSWORD = 'correct horse battery';

type SentHeaders = Record<string, string | string[]>;

interface Sent {
  readonly method?: string;
  readonly headers?: SentHeaders;
  readonly body?: string;
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: each test knows its answer
  readonly json: any;
}

/** @param environment variables of the console; the port is free */
export async function openConsole(engine: Engine, environment: Record<string, string> = {}) {
  const { console: config } = readConfig({ ...environment, SLUICE_CONSOLE_PORT: '0' });
  const database = () => engine.own.database;
  const users = new Users(database);
  const sessions = new Sessions(database, engine.log);
  const access = new ConsoleAccess(config, sessions);
  const server = new HttpServer(
    { ...config, connections: 100, headersMs: 5000, bodyMs: 5000, idleMs: 5000, keepAliveMs: 5000 },
    engine.log,
  );
  server.app.addHook('onRequest', async request => {
    await access.check(request);
  });
  const limits = new LoginLimits();
  const parts = { config, namespace: engine.name, access, users, sessions, limits, log: engine.log };
  const openid = config.openid && new OpenId(config.openid, engine.log);
  const all: readonly LoginRoute[] = [...loginRoutes, ...(openid ? openIdRoutes(openid) : [])];
  registerLogin(server.app, all, parts);
  server.app.setNotFoundHandler((_, reply) =>
    answerError(new RequestError('NOT_FOUND', 'none'), reply, engine.log),
  );
  const port = await server.listen();
  engine.onClose(async () => {
    await server.close(0);
  });
  const origin = `http://127.0.0.1:${port}`;
  const send = (path: string, { method = 'GET', headers = {}, body }: Sent = {}) =>
    exchange(port, path, method, headers, body);
  /** As the page sends a change. */
  const change = (path: string, body: unknown, headers: SentHeaders = {}) =>
    send(path, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        origin,
        'sec-fetch-site': 'same-origin',
        ...headers,
      },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  const cookieOf = (reply: Reply) =>
    (reply.headers['set-cookie'] ?? []).map(line => line.split(';')[0]!).join('; ');
  return {
    port,
    origin,
    users,
    sessions,
    send,
    change,
    cookieOf,
    /** A new user's cookie. */
    async logIn(role: Role, name: string = role) {
      await users.add(name, role, PASSWORD);
      return cookieOf(await change('/api/login', { name, password: PASSWORD }));
    },
  };
}

/** Sends target and headers as they are. */
function exchange(
  port: number,
  path: string,
  method: string,
  headers: SentHeaders,
  body: string | undefined,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ host: '127.0.0.1', port, path, method, headers }, response => {
      const parts: Buffer[] = [];
      response.on('data', part => parts.push(part));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(parts).toString();
        const { statusCode: status = 0, headers: given } = response;
        resolve({
          status,
          headers: given,
          text,
          get json() {
            return JSON.parse(text);
          },
        });
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
