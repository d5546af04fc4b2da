// Runs the servers for all scenarios: MySQL with its default durability, Redis with its append-only file.
// Each measurement gets a namespace, a database and processes of its own.

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { createConnection } from 'mysql2/promise';
import { type Deployment, ProducerProcess, SluiceProcess } from '../scripts/load/processes.ts';
import type { ProducerPlan } from '../scripts/load/producer-plan.ts';
import { definitions as preset } from '../scripts/load/traffic.ts';
import type { Watch } from '../scripts/load/watch.ts';
import { type RunningServer, startMysql, startRedis } from '../scripts/servers.ts';
import { Line, TcpProxy } from '../scripts/torture/proxy.ts';
import type { DefinitionsInput } from '../src/shared/config/definitions.ts';
import { environmentName, type Settings } from '../src/shared/config/settings.ts';
import { Database } from '../src/shared/mysql/database.ts';
import { Build, project } from './build.ts';

/** Calls may wait for a machine whose cores are all busy. */
const patience = { callTimeoutMs: 20_000 };

/** Options that the image passes to node. */
function imageFlags(): string[] {
  const [, list] = /^ENTRYPOINT (\[.*\])$/m.exec(readFileSync(join(project, 'Dockerfile'), 'utf8'))!;
  return (JSON.parse(list!) as string[]).filter(argument => argument.startsWith('--'));
}

export interface RigOptions {
  /** For the profiles of producers, workers and Redis, if they are wanted. */
  profileFolder?: string | undefined;
  settings?: Partial<Settings>;
  /** Ms that MySQL is away from the workers, there and back; 0 for none. */
  databaseDelay?: number;
}

export class Rig {
  readonly folder: string;
  readonly profileFolder: string | undefined;
  /** Settings of all producers and workers; the others have their defaults. */
  readonly settings: Partial<Settings>;
  /** The scenario that runs now, which names the profiles. */
  scenario = '';
  /** The build that the next measurements use. */
  build = Build.own();
  #redis!: RunningServer;
  #mysql!: RunningServer;
  /** Before MySQL, if it is to be away. */
  #proxy: TcpProxy | undefined;
  #sites = 0;

  private constructor({ profileFolder, settings = {} }: RigOptions) {
    this.folder = join(project, '.cache', `bench-${process.pid}`);
    this.profileFolder = profileFolder;
    this.settings = settings;
    mkdirSync(this.folder, { recursive: true });
    process.on('exit', () => rmSync(this.folder, { recursive: true, force: true }));
  }

  static async start(options: RigOptions = {}): Promise<Rig> {
    const rig = new Rig(options);
    [rig.#redis, rig.#mysql] = await Promise.all([
      startRedis({ flavour: 'redis8', directory: join(rig.folder, 'redis') }),
      startMysql({ flavour: 'mysql97', directory: join(rig.folder, 'mysql') }),
    ]);
    if (options.databaseDelay) {
      const line = new Line();
      line.delayMs = options.databaseDelay / 2;
      rig.#proxy = await TcpProxy.open(rig.#mysql.port, line);
    }
    return rig;
  }

  /** The URL of a database for workers. */
  urlForWorkers(mysqlUrl: string): string {
    if (!this.#proxy) return mysqlUrl;
    const url = new URL(mysqlUrl);
    url.port = String(this.#proxy.port);
    return url.href;
  }

  get redisPid(): number {
    return this.#redis.pid;
  }

  get mysqlPid(): number {
    return this.#mysql.pid;
  }

  /** Lends an empty Redis, and clears it afterwards. */
  async withRedis<T>(use: (redis: { url: string; port: number }) => Promise<T>): Promise<T> {
    try {
      return await use(this.#redis);
    } finally {
      await this.#clearRedis();
    }
  }

  /**
   * Lends an empty namespace and a migrated database, and clears both afterwards.
   * @param settings beside those of all
   */
  async withSite<T>(
    use: (site: Site) => Promise<T>,
    settings: Partial<Settings> = {},
    definitions: DefinitionsInput = preset,
  ): Promise<T> {
    const name = `bench_${++this.#sites}`;
    const admin = await createConnection(this.#mysql.url);
    await admin.query(`CREATE DATABASE ${name}`);
    const config = join(this.folder, 'sluice.config.json');
    writeFileSync(config, JSON.stringify(definitions));
    const deployment: Deployment = {
      redisUrl: this.#redis.url,
      mysqlUrl: `${this.#mysql.url}/${name}`,
      namespace: name,
      config,
    };
    const site = new Site(deployment, this, { ...this.settings, ...settings });
    try {
      await this.build.migrate(deployment.mysqlUrl, site.settings);
      return await use(site);
    } finally {
      await site.close();
      await admin.query(`DROP DATABASE ${name}`);
      await admin.end();
      await this.#clearRedis();
    }
  }

  async #clearRedis(): Promise<void> {
    const redis = new Redis(this.#redis.url);
    if (this.profileFolder) {
      const name = join(this.profileFolder, `${this.scenario}-redis`);
      writeFileSync(`${name}.commandstats`, await redis.info('commandstats'));
      writeFileSync(`${name}.slowlog.json`, JSON.stringify(await redis.slowlog('GET', 20), null, 2));
      await redis.config('RESETSTAT');
    }
    await redis.flushall();
    redis.disconnect();
  }

  /** The command line of the build, compiled. */
  compiled(): string {
    return this.build.compiled(join(this.folder, this.build.name, 'package'));
  }

  /** Conditions of the figures. */
  describe() {
    const git = (...args: string[]) => {
      try {
        return execFileSync('git', args, { cwd: project, encoding: 'utf8' }).trim();
      } catch {
        return '';
      }
    };
    const [cpu] = cpus();
    return {
      machine: {
        cpu: cpu?.model ?? 'unknown',
        cores: cpus().length,
        memoryGiB: Math.round(totalmem() / 2 ** 30),
        kernel: release(),
        loadAverage: loadavg().map(load => Math.round(load * 100) / 100),
      },
      versions: { node: process.version, redis: this.#redis.version, mysql: this.#mysql.version },
      commit:
        git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', '--', 'src') ? '+changes' : ''),
      servers: {
        redis: 'appendonly yes, appendfsync everysec',
        mysql: 'innodb_flush_log_at_trx_commit=1, sync_binlog=1, buffer pool 256 MiB',
      },
      settings: this.build.settings(this.settings),
    };
  }

  async stop(): Promise<void> {
    await this.#proxy?.close();
    await Promise.all([this.#redis.discard(), this.#mysql.discard()]);
  }
}

/** A namespace, a database, and the processes that use them. */
export class Site {
  readonly deployment: Deployment;
  /** Settings of the run and the scenario, completed by the defaults of the build. */
  readonly settings: Settings;
  readonly database: Database;
  readonly #given: Partial<Settings>;
  readonly #rig: Rig;
  readonly #stops: (() => Promise<void>)[] = [];
  #processes = 0;

  constructor(deployment: Deployment, rig: Rig, given: Partial<Settings>) {
    this.deployment = deployment;
    this.#rig = rig;
    this.#given = given;
    this.settings = rig.build.settings(given);
    this.database = new Database({ url: deployment.mysqlUrl }, { ...this.settings, connections: 2 });
  }

  watch(): Promise<Watch> {
    const { redisUrl, namespace } = this.deployment;
    return this.#rig.build.watch(redisUrl, namespace, this.settings.partitions);
  }

  /** @param program the compiled command line, started as in the image; by default the sources */
  async worker(program?: string): Promise<SluiceProcess> {
    const logFile = join(this.#rig.folder, `workers-${this.deployment.namespace}.log`);
    const worker = await SluiceProcess.start({
      command: 'worker',
      deployment: { ...this.deployment, mysqlUrl: this.#rig.urlForWorkers(this.deployment.mysqlUrl) },
      logFile,
      folder: this.#rig.build.folder,
      settings: Object.fromEntries(
        Object.entries(this.#given).map(([name, value]) => [environmentName(name), String(value)]),
      ),
      ...(program === undefined ? {} : { program }),
      nodeArgs: [...this.#nodeArgs('worker'), ...(program === undefined ? [] : imageFlags())],
    });
    this.#stops.push(() => worker.stop());
    return worker;
  }

  async producer(plan: Omit<ProducerPlan, keyof Deployment | 'settings'>): Promise<ProducerProcess> {
    const { redisUrl, mysqlUrl, namespace } = this.deployment;
    const producer = new ProducerProcess(
      { redisUrl, mysqlUrl, namespace, ...plan, settings: { ...patience, ...this.#given } },
      this.#nodeArgs('producer'),
      this.#rig.build.folder,
    );
    this.#stops.push(() => producer.stop());
    await producer.ready();
    return producer;
  }

  #nodeArgs(role: string): string[] {
    const folder = this.#rig.profileFolder;
    if (!folder) return [];
    return [
      '--cpu-prof',
      `--cpu-prof-dir=${folder}`,
      `--cpu-prof-name=${this.#rig.scenario}-${role}-${++this.#processes}.cpuprofile`,
    ];
  }

  async close(): Promise<void> {
    for (const stop of this.#stops.reverse()) await stop();
    await this.database.close();
  }
}
