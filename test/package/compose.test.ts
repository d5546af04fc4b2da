// docker-compose.yml: it names existing files and services, waits in the right order, publishes nothing
// beyond this machine, and its Redis and MySQL with their real configuration serve Sluice.

import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { findBinary } from '../../scripts/servers/binaries.ts';
import { startMysql, startRedis } from '../../scripts/servers.ts';
import { cleanUp } from '../support/cleanup.ts';
import { openDeployment } from '../support/command.ts';
import { readDockerfile } from '../support/dockerfile.ts';
import { temporaryFolder } from '../support/servers.ts';

const project = fileURLToPath(new URL('../../', import.meta.url));
const run = promisify(execFile);

interface Service {
  image: string;
  build?: string | { context: string; target?: string };
  command?: string[];
  environment?: Record<string, string>;
  secrets?: string[];
  volumes?: string[];
  ports?: string[];
  depends_on?: string[] | Record<string, { condition: string }>;
  healthcheck?: { test?: string[]; disable?: boolean };
  read_only?: boolean;
  restart: string;
  deploy?: { replicas: number };
  stop_grace_period?: string;
}

const compose = parse(readFileSync(join(project, 'docker-compose.yml'), 'utf8'), { merge: true }) as {
  services: Record<string, Service>;
  volumes: Record<string, unknown>;
  secrets: Record<string, { file: string }>;
};
const services = Object.entries(compose.services);
/** Services that the project builds. */
const own = services.filter(([, service]) => service.build);

it('the file has all services, with two workers', () => {
  expect(Object.keys(compose.services).toSorted()).toEqual(
    [
      ...['api', 'cache', 'console', 'grafana', 'http', 'jobs', 'migrate', 'mysql', 'outside', 'prometheus'],
      ...['redis', 'shop-data', 'worker'],
    ].toSorted(),
  );
  expect(compose.services.worker!.deploy).toEqual({ replicas: 2 });
});

it('every stage, secret, file and host that the file names exists', () => {
  const stages = readDockerfile(join(project, 'Dockerfile')).map(stage => stage.name);
  for (const [name, { build, secrets = [], volumes = [], environment = {} }] of services) {
    if (typeof build === 'object') expect(stages, name).toContain(build.target);
    for (const secret of secrets) expect(compose.secrets, name).toHaveProperty(secret);
    for (const volume of volumes) {
      const source = volume.split(':')[0]!;
      if (source.startsWith('./')) expect(existsSync(join(project, source)), source).toBe(true);
      else expect(compose.volumes, name).toHaveProperty(source);
    }
    for (const [variable, value] of Object.entries(environment)) {
      const [, secret] = /^\/run\/secrets\/(.*)$/.exec(value) ?? [];
      if (secret) expect(secrets, `${name} reads ${secret}`).toContain(secret);
      const [, host] = /^\w+:\/\/(?:\w+@)?(\w+)/.exec(value) ?? [];
      // Origins are addresses that browsers know, outside of the services' network.
      if (host && !variable.endsWith('_ORIGINS'))
        expect(compose.services, `${name} calls ${host}`).toHaveProperty(host);
    }
  }
  const used = new Set(services.flatMap(([, { secrets = [] }]) => secrets));
  expect([...used].toSorted()).toEqual(Object.keys(compose.secrets).toSorted());
});

it('a service starts when the services that it needs are ready', () => {
  const healthy = new Set(services.filter(([, { healthcheck }]) => healthcheck?.test).map(([name]) => name));
  for (const [name, { depends_on = {} }] of services) {
    for (const [needed, { condition }] of Object.entries(Array.isArray(depends_on) ? {} : depends_on)) {
      if (condition === 'service_healthy') expect(healthy, `${name} waits for ${needed}`).toContain(needed);
      // A one-off service: it must not start again after success.
      else expect(compose.services[needed]).toMatchObject({ restart: 'on-failure' });
    }
  }
  for (const name of ['worker', 'api', 'jobs', 'http', 'console'])
    expect(compose.services[name]!.depends_on).toMatchObject({
      redis: { condition: 'service_healthy' },
      migrate: { condition: 'service_completed_successfully' },
    });
});

it('nothing is published beyond this machine, and no metrics and no password at all', () => {
  for (const [name, { ports = [], environment = {} }] of services) {
    for (const port of ports) expect(port, name).toMatch(/^127\.0\.0\.1:/);
    expect(ports.join(), name).not.toMatch(/946[45]/);
    for (const [variable, value] of Object.entries(environment)) {
      if (/PASSWORD|SECRET|TOKEN/.test(variable)) expect(value, variable).toMatch(/^\/run\/secrets\//);
      expect(value, variable).not.toMatch(/\/\/[^/]*:[^/]*@/);
    }
  }
  for (const [name, { read_only }] of own) expect(read_only, name).toBe(true);
});

const prometheusFile = join(project, 'deploy/prometheus/prometheus.yml');

it('Prometheus scrapes existing services', () => {
  const { scrape_configs } = parse(readFileSync(prometheusFile, 'utf8')) as {
    scrape_configs: { dns_sd_configs?: { names: string[]; port: number }[] }[];
  };
  const targets = scrape_configs.flatMap(({ dns_sd_configs = [] }) => dns_sd_configs);
  const scraped = targets.flatMap(({ names, port }) => names.map(name => `${name}:${port}`));
  expect(scraped.toSorted()).toEqual(['api:9465', 'http:9464', 'jobs:9465', 'worker:9464']);
  const settings = readFileSync(join(project, 'examples/shop/src/settings.ts'), 'utf8');
  expect(settings).toContain('METRICS_PORT ?? 9465');
});

it('Grafana finds the dashboards and their data source', () => {
  const provisioned = <Content>(name: string) =>
    parse(readFileSync(join(project, 'deploy/grafana/provisioning', name), 'utf8')) as Content;
  const { volumes = [] } = compose.services.grafana!;
  const mounts = new Map(
    volumes.map(volume => volume.split(':') as [string, string]).map(([from, to]) => [to, from]),
  );
  expect(mounts.get('/etc/grafana/provisioning')).toBe('./deploy/grafana/provisioning');
  const { providers } = provisioned<{ providers: { options: { path: string } }[] }>('dashboards/sluice.yml');
  const folder = join(project, mounts.get(providers[0]!.options.path)!);
  const { datasources } = provisioned<{ datasources: { uid: string; type: string; url: string }[] }>(
    'datasources/prometheus.yml',
  );
  expect(new URL(datasources[0]!.url)).toMatchObject({ hostname: 'prometheus', port: '9090' });
  const { uid, type } = datasources[0]!;
  const files = readdirSync(folder);
  expect(files.length).toBe(5);
  for (const file of files) {
    const text = readFileSync(join(folder, file), 'utf8');
    const named = [...text.matchAll(/"datasource": (\{[^}]*\})/g)].map(([, json]) => JSON.parse(json!));
    expect(named.length, file).toBeGreaterThan(5);
    for (const one of named) expect(one, file).toEqual({ type, uid });
  }
});

/** Docker Compose, which scripts/setup.sh unpacks. */
function findCompose(): string | undefined {
  try {
    return findBinary('compose', ['docker-compose']);
  } catch {
    console.warn('docker-compose is missing, its test is skipped: run scripts/setup.sh test');
    return undefined;
  }
}
const composeBinary = findCompose();

it.skipIf(!composeBinary)('Docker Compose understands the file as intended, without a warning', async () => {
  const args = ['-f', 'docker-compose.yml', 'config', '--format', 'json'];
  const { stdout, stderr } = await run(composeBinary!, args, { cwd: project });
  expect(stderr).toBe('');
  const understood = JSON.parse(stdout) as { services: Record<string, Record<string, unknown>> };
  expect(Object.keys(understood.services).toSorted()).toEqual(Object.keys(compose.services).toSorted());
  // Keys from shared parts of the file, and keys that some versions of the format ignore.
  for (const name of ['migrate', 'worker', 'api', 'jobs', 'http'])
    expect(understood.services[name], name).toMatchObject({
      read_only: true,
      init: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      depends_on: expect.any(Object),
    });
  expect(understood.services.worker).toMatchObject({
    deploy: { replicas: 2 },
    stop_grace_period: '30s',
    depends_on: { migrate: { condition: 'service_completed_successfully', required: true } },
  });
});

it("the generated passwords work with the file's Redis and MySQL, and Sluice counts with them", async () => {
  const folder = await temporaryFolder();
  const secrets = join(folder, 'secrets');
  const script = join(project, 'deploy/compose/secrets.sh');
  await run('bash', [script, secrets]);
  const read = (name: string) => readFileSync(join(secrets, name), 'utf8');
  const names = Object.values(compose.secrets).map(({ file }) => file.split('/').at(-1)!);
  const first = names.map(read);
  expect(new Set(first).size).toBe(names.length);
  expect(read('redis_password')).toMatch(/^[0-9a-f]{48}$/);
  expect(read('redis_users')).not.toContain(read('redis_password'));
  expect(statSync(secrets).mode & 0o777).toBe(0o700);
  await run('bash', [script, secrets]);
  expect(names.map(read)).toEqual(first);

  // The data folder differs from the container's, and the users are created by the same lines as commands.
  const file = readFileSync(join(project, 'deploy/compose/redis.conf'), 'utf8');
  const config = join(folder, 'redis.conf');
  await writeFile(config, file.replace(/^dir .*$/m, `dir ${folder}`).replace(/^aclfile .*$/m, ''));
  const { command } = compose.services.mysql!;
  const [redis, mysql] = await Promise.all([
    startRedis({ flavour: 'redis8', directory: join(folder, 'redis'), args: ['--include', config] }),
    startMysql({ flavour: 'mysql97', directory: join(folder, 'mysql'), args: command! }),
  ]);
  cleanUp(() => Promise.all([redis.stop(), mysql.stop()]));
  const servers = { redisUrl: redis.url, mysqlUrl: mysql.url };
  const deployment = await openDeployment({ counters: { page_views: {} } }, { migrated: false, servers });
  await deployment.database.query("CREATE USER sluice@'%' IDENTIFIED BY ?", [read('mysql_password')]);
  await deployment.database.query(`GRANT ALL ON ${deployment.name}.* TO sluice@'%'`);
  // The default user comes last, since it then loses its rights on this connection.
  for (const line of read('redis_users').trim().split('\n').toReversed()) {
    const [word, name, ...rules] = line.split(' ');
    expect(word).toBe('user');
    await deployment.redis.call('ACL', 'SETUSER', name!, ...rules);
  }
  expect(await deployment.redis.ping()).toBe('PONG');
  await expect(deployment.redis.get('x')).rejects.toThrow(/^NOPERM/);

  const withUser = (url: string) => url.replace(/\/\/(?:[^@]*@)?/, '//sluice@');
  const env = {
    SLUICE_NAMESPACE: 'sluice',
    SLUICE_PARTITIONS: '4',
    REDIS_URL: withUser(deployment.env.REDIS_URL!),
    MYSQL_URL: withUser(deployment.env.MYSQL_URL!),
    REDIS_PASSWORD_FILE: join(secrets, 'redis_password'),
    MYSQL_PASSWORD_FILE: join(secrets, 'mysql_password'),
  };
  expect(await deployment.sluice(['migrate'], env)).toMatchObject({ code: 0 });
  await deployment.worker(env);
  expect(await deployment.sluice(['ingest', '-'], env, '{"counter":"page_views","key":"/"}\n')).toMatchObject(
    {
      code: 0,
    },
  );
  expect(await deployment.sluice(['drain'], env)).toMatchObject({ code: 0 });
  expect(await deployment.sluice(['verify', '--json'], env)).toMatchObject({ code: 0 });
});
