/** The console as `sluice console` opens it, on the servers of an engine. */
import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PageAssets } from '../../src/console/assets.ts';
import { openConsole } from '../../src/console/run.ts';
import { readConfig } from '../../src/shared/config/config.ts';
import type { DefinitionsInput } from '../../src/shared/config/definitions.ts';
import { environmentName, type SettingName } from '../../src/shared/config/settings.ts';
import { type Engine, definitions as plain } from './engine.ts';
import { temporaryFolder } from './servers.ts';

/** As build.ts makes it: the package tests build and remove dist/. */
const PAGE = fileURLToPath(new URL('../../dist-test/console/page', import.meta.url));

export interface ConsoleReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: each test knows its answer
  readonly body: any;
}

export interface Asking {
  readonly method?: string;
  /** Sent as JSON, a text as it is. */
  readonly body?: unknown;
  /** In place of those that a browser sends from the page; undefined leaves one out. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
}

export type TestConsole = Awaited<ReturnType<typeof openTestConsole>>;

/** @param environment more variables */
export async function openTestConsole(
  engine: Engine,
  environment: Readonly<Record<string, string>> = {},
  definitions: DefinitionsInput = plain,
) {
  const file = join(await temporaryFolder(), 'sluice.config.json');
  writeFileSync(file, JSON.stringify(definitions));
  const settings = Object.entries(engine.settings).map(([name, value]) => [
    environmentName(name as SettingName),
    String(value),
  ]);
  const config = readConfig({
    ...Object.fromEntries(settings),
    REDIS_URL: engine.redisUrl,
    MYSQL_URL: engine.mysqlUrl,
    SLUICE_NAMESPACE: engine.name,
    SLUICE_CONFIG: file,
    SLUICE_CONSOLE_PORT: '0',
    ...environment,
  });
  const running = await openConsole(config, engine.log, new PageAssets(PAGE));
  engine.onClose(async () => {
    await running.close(0);
  });
  const { port } = running;
  const host = `127.0.0.1:${port}`;
  /** By node:http: fetch lets nobody choose the header Host. */
  const ask = (path: string, { method = 'GET', body, headers = {} }: Asking = {}) =>
    new Promise<ConsoleReply>((resolve, reject) => {
      const sent = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
      const all = {
        host,
        'sec-fetch-site': 'same-origin',
        ...(sent === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      };
      const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
      const asking = request({ port, path, method, headers: given as Record<string, string> }, answer => {
        const chunks: Buffer[] = [];
        answer.on('data', chunk => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          const isJson = /json/.test(answer.headers['content-type'] ?? '') && text !== '';
          const { statusCode, headers: got } = answer;
          resolve({ status: statusCode!, headers: got, text, body: isJson ? JSON.parse(text) : undefined });
        });
      });
      asking.on('error', reject);
      asking.end(sent);
    });
  return {
    ...{ port, host, url: `http://${host}`, running, config, ask },
    get: (path: string, headers?: Asking['headers']) => ask(path, headers ? { headers } : {}),
    post: (path: string, body: unknown, headers?: Asking['headers']) =>
      ask(path, { method: 'POST', body, ...(headers ? { headers } : {}) }),
  };
}
