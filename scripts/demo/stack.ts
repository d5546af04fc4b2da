// What the demo runs on: servers (its own or given ones), an empty namespace and database, and two workers.
// Closing it removes everything that opening it created.

import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSettings } from '../../src/shared/config/settings.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { migrate } from '../../src/shared/mysql/migrate.ts';
import { type Deployment, SluiceProcess } from '../load/processes.ts';
import { definitions } from '../load/traffic.ts';
import { startMysql, startRedis } from '../servers.ts';
import type { DemoOptions } from './options.ts';
import { makeFolder, undoAll } from './run-folder.ts';
import type { Screen } from './screen.ts';
import { createDatabase, dropDatabase, refuseKeys, removeKeys, serverVersions } from './territory.ts';

export { NotEmptyError } from './territory.ts';

const runs = fileURLToPath(new URL('../../.demo/', import.meta.url));
const namespace = 'sluice-demo';
const databaseName = 'sluice_demo';

export class Stack {
  readonly deployment: Deployment;
  readonly folder: string;
  readonly database: Database;
  readonly workers: SluiceProcess[] = [];
  /** Address of the console. */
  consoleUrl = '';
  readonly #undo: (() => unknown)[];
  readonly #keep: boolean;
  #closing: Promise<void> | undefined;

  constructor(deployment: Deployment, folder: string, undo: (() => unknown)[], keep: boolean) {
    this.deployment = deployment;
    this.folder = folder;
    this.#undo = undo;
    this.#keep = keep;
    this.database = new Database({ url: deployment.mysqlUrl }, { ...parseSettings(), connections: 2 });
    undo.push(() => this.database.close());
  }

  async startWorkers(count: number): Promise<void> {
    // All are registered before any is awaited, so that a failed start does not leave the others running.
    const starting = Array.from({ length: count }, (_, index) =>
      SluiceProcess.start({
        command: 'worker',
        deployment: this.deployment,
        logFile: join(this.folder, `worker-${index + 1}.log`),
      }),
    );
    this.#undo.push(() =>
      Promise.all(starting.map(worker => worker.then(running => running.stop()).catch(() => {}))),
    );
    this.workers.push(...(await Promise.all(starting)));
  }

  /** The operator's page, on this machine only, where nobody can change anything without a login. */
  async startConsole(): Promise<void> {
    const starting = SluiceProcess.start({
      command: 'console',
      deployment: this.deployment,
      logFile: join(this.folder, 'console.log'),
      settings: { SLUICE_CONSOLE_PORT: '0' },
    });
    this.#undo.push(() => starting.then(running => running.stop()).catch(() => {}));
    this.consoleUrl = /"url":"([^"]+)"/.exec((await starting).output.said)![1]!;
  }

  atClose(undo: () => unknown): void {
    this.#undo.push(undo);
  }

  addresses(): string[] {
    const { redisUrl, mysqlUrl, config } = this.deployment;
    return [
      'Everything keeps running:',
      `  Redis      ${redisUrl}  (namespace ${namespace})`,
      `  MySQL      ${mysqlUrl}`,
      ...this.workers.map(
        (worker, index) => `  worker ${index + 1}   process ${worker.pid}${worker.gone ? ' (killed)' : ''}`,
      ),
      `  console    ${this.consoleUrl}`,
      `  logs       ${this.folder}`,
      '',
      'Look at it from another terminal:',
      `  export REDIS_URL=${redisUrl} MYSQL_URL=${mysqlUrl}`,
      `  export SLUICE_NAMESPACE=${namespace} SLUICE_CONFIG=${config}`,
      '  npm run -s sluice -- status',
      '',
      `Ctrl-C (or kill ${process.pid}) stops ${this.#keep ? 'what the demo started' : 'it'}.`,
    ];
  }

  /** @param discard whether to remove the logs as well */
  close(discard: boolean): Promise<void> {
    this.#closing ??= undoAll(this.#undo).then(() => {
      if (discard) rmSync(this.folder, { recursive: true, force: true });
    });
    return this.#closing;
  }
}

export async function openStack(options: DemoOptions, screen: Screen): Promise<Stack> {
  const folder = makeFolder(runs);
  const undo: (() => unknown)[] = [];
  try {
    const { redisUrl, mysqlUrl } = options.servers
      ? await useServers(options.servers, options.keep, undo)
      : await startServers(folder, undo);
    const config = join(folder, 'sluice.config.json');
    writeFileSync(config, `${JSON.stringify(definitions, null, 2)}\n`);
    const stack = new Stack({ redisUrl, mysqlUrl, namespace, config }, folder, undo, options.keep);
    const versions = await serverVersions(redisUrl, stack.database);
    screen.step(`${options.servers ? 'using' : 'started'} ${versions}`);
    await migrate(stack.database, parseSettings().partitions);
    screen.step(`migrated the database ${databaseName}`);
    await stack.startWorkers(2);
    screen.step(`two workers: processes ${stack.workers.map(worker => worker.pid).join(' and ')}`);
    await stack.startConsole();
    screen.step(`the console, which only shows: ${stack.consoleUrl}`);
    return stack;
  } catch (error) {
    await undoAll(undo).catch(() => {});
    // The error already quotes the logs.
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

async function startServers(folder: string, undo: (() => unknown)[]) {
  const starting = [
    startRedis({ flavour: 'path', directory: join(folder, 'redis') }),
    startMysql({ flavour: 'path', directory: join(folder, 'mysql') }),
  ] as const;
  undo.push(() => Promise.all(starting.map(server => server.then(s => s.stop()).catch(() => {}))));
  const [redis, mysql] = await Promise.all(starting);
  // Runs last. The servers' data is large and useless without them; the workers' logs stay after a failure.
  undo.unshift(() => {
    for (const name of ['redis', 'mysql']) rmSync(join(folder, name), { recursive: true, force: true });
  });
  const mysqlUrl = `${mysql.url}/${databaseName}`;
  await createDatabase(mysqlUrl);
  return { redisUrl: redis.url, mysqlUrl };
}

async function useServers(servers: { redis: string; mysql: string }, keep: boolean, undo: (() => unknown)[]) {
  const url = new URL(servers.mysql);
  url.pathname = `/${databaseName}`;
  await refuseKeys(servers.redis, namespace);
  const made = await createDatabase(url.href);
  if (!keep) {
    undo.push(() => removeKeys(servers.redis, namespace));
    undo.push(() => dropDatabase(url.href, made));
  }
  return { redisUrl: servers.redis, mysqlUrl: url.href };
}
