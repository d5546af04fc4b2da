// The container image: the Dockerfile copies existing files, the install is small and listed in the bill of
// materials. If an image was built, it runs as an unprivileged user on a read-only file system.
//
// SLUICE_IMAGE_ROOT is the folder with the unpacked file system of a built image (see docs/container.md).
// Without it, or without root's right to enter it, the last part is skipped.

import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { chmod, cp, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { type Environment, openDeployment, start, workerPort } from '../support/command.ts';
import { finalStage, readDockerfile } from '../support/dockerfile.ts';
import { until } from '../support/engine.ts';
import { ownServers, temporaryFolder } from '../support/servers.ts';

const project = fileURLToPath(new URL('../../', import.meta.url));
const run = promisify(execFile);
/** Most bytes that the image may add to its base. */
const LIMIT = 60_000_000;
/** What docs/container.md says it adds, and how far that may be off. */
const STATED =
  1e6 *
  Number(/about (\d+) MB on top of/.exec(readFileSync(join(project, 'docs/container.md'), 'utf8'))?.[1]);
const SLACK = 4_000_000;

const stages = readDockerfile(join(project, 'Dockerfile'));
const image = finalStage(stages);

async function bytesOf(folder: string): Promise<number> {
  return Number.parseInt((await run('du', ['-sb', folder])).stdout, 10);
}

describe('the Dockerfile', () => {
  it('copies only existing files, and .dockerignore lets exactly those through', () => {
    const copied = stages
      .flatMap(stage => stage.instructions)
      .filter(({ name, text }) => name === 'COPY' && !text.startsWith('--from='))
      .flatMap(({ text }) => text.split(/\s+/).slice(0, -1));
    expect(copied.length).toBeGreaterThan(5);
    for (const path of copied) expect(existsSync(join(project, path)), path).toBe(true);
    const ignored = readFileSync(join(project, '.dockerignore'), 'utf8')
      .split('\n')
      .filter(line => line !== '' && !line.startsWith('#'));
    expect(ignored[0]).toBe('*');
    const through = ignored.slice(1).map(line => line.replace(/^!/, ''));
    expect(through.toSorted()).toEqual([...new Set(copied)].toSorted());
  });

  it('starts node directly as an unprivileged user, and checks its health with node too', () => {
    expect(stages.map(stage => stage.base)).toEqual(stages.map(() => 'node:24-bookworm-slim'));
    expect(image.last('USER')).toBe('node');
    expect(image.last('STOPSIGNAL')).toBe('SIGTERM');
    const [node, ...more] = image.list('ENTRYPOINT');
    const file = more.pop();
    expect(node).toBe('node');
    expect(more.every(flag => flag.startsWith('--'))).toBe(true);
    expect(existsSync(join(project, file!.replace('/app/dist/', 'src/').replace(/\.js$/, '.ts')))).toBe(true);
    expect(image.list('CMD')).toEqual(['worker']);
    expect(image.healthCheck()).toEqual([node, file, 'health']);
  });
});

describe('the production install', () => {
  it("stays far below the image's size limit, and the bill of materials lists all of it", async () => {
    const folder = await temporaryFolder();
    for (const file of ['package.json', 'package-lock.json', '.npmrc'])
      await cp(join(project, file), join(folder, file));
    const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
    await run('npm', ['ci', '--omit=dev', ...quiet], { cwd: folder });
    const size = (await bytesOf(join(folder, 'node_modules'))) + (await bytesOf(join(project, 'src')));
    expect(size).toBeLessThan(LIMIT);
    expect(Math.abs(size - STATED)).toBeLessThan(SLACK);
    const { stdout } = await run('bash', [join(project, 'scripts/sbom.sh')], {
      maxBuffer: 64 * 1024 * 1024,
      env: { ...process.env, npm_config_prefer_offline: 'true' },
    });
    const lock = JSON.parse(await readFile(join(folder, 'node_modules/.package-lock.json'), 'utf8'));
    expect(componentsOf(stdout)).toEqual(installedBy(lock));
    expect(componentsOf(stdout)).toEqual(expect.arrayContaining([expect.stringMatching(/^zod@/)]));
  }, 300_000);
});

function componentsOf(billOfMaterials: string): string[] {
  const { bomFormat, components } = JSON.parse(billOfMaterials) as {
    bomFormat: string;
    components: { 'bom-ref': string }[];
  };
  expect(bomFormat).toBe('CycloneDX');
  return components.map(component => component['bom-ref']).toSorted();
}

function installedBy(lock: { packages: Record<string, { version: string }> }): string[] {
  const name = (path: string) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
  return Object.entries(lock.packages)
    .map(([path, { version }]) => `${name(path)}@${version}`)
    .toSorted();
}

const root = process.env.SLUICE_IMAGE_ROOT;
const skipped = !root
  ? 'skipped: SLUICE_IMAGE_ROOT names no image'
  : process.getuid?.() !== 0
    ? 'skipped: entering an image takes root'
    : undefined;

/**
 * Enters a read-only file system, as `docker run --read-only` does; `$1` is the folder with the definitions.
 */
const ENTER = `
  mount --bind "$0" "$0" && mount --bind "$1" "$0/etc/sluice" && mount -o remount,bind,ro "$0/etc/sluice" "$0/etc/sluice" &&
  mount -o remount,bind,ro "$0" && shift && exec chroot --userspec=1000:1000 "$0" "$@"`;

describe.skipIf(skipped !== undefined)(`a built image${skipped ? ` (${skipped})` : ''}`, () => {
  const enter = (definitions: string, env: Environment, command: readonly string[]) => {
    const args = ['--mount', '--propagation', 'private', 'sh', '-ec', ENTER, root!, definitions, ...command];
    return start('unshare', args, {
      PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
      ...image.env(),
      ...env,
    });
  };

  it('holds no development tool, no file that its user may write, and its bill of materials', async () => {
    const { devDependencies } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8'));
    const installed = readdirSync(join(root!, 'app/node_modules'));
    const tools = Object.keys(devDependencies).filter(name => !name.includes('/'));
    expect(installed.filter(name => tools.includes(name))).toEqual([]);
    expect(
      (await run('find', [join(root!, 'app'), '-uid', '1000', '-o', '-perm', '-o=w', '!', '-type', 'l']))
        .stdout,
    ).toBe('');
    const size = await bytesOf(join(root!, 'app'));
    expect(size).toBeLessThan(LIMIT);
    expect(Math.abs(size - STATED)).toBeLessThan(SLACK);
    const lock = JSON.parse(readFileSync(join(root!, 'app/node_modules/.package-lock.json'), 'utf8'));
    expect(componentsOf(readFileSync(join(root!, 'app/sbom.cdx.json'), 'utf8'))).toEqual(installedBy(lock));
  });

  it('migrates, flushes, answers its health check, and on SIGTERM finishes the batch and exits 0', async () => {
    const { servers } = await ownServers();
    const deployment = await openDeployment({ counters: { page_views: {} } }, { migrated: false, servers });
    await mkdir(join(root!, 'etc/sluice'), { recursive: true });
    // Other users cannot enter a temporary folder by default.
    await chmod(deployment.folder, 0o755);
    const { SLUICE_CONFIG: _, ...env } = deployment.env;
    const command = (...args: string[]) =>
      enter(deployment.folder, env, [...image.list('ENTRYPOINT'), ...args]);
    expect(await command('migrate').ended).toMatchObject({ code: 0, stderr: '' });

    const worker = command(...image.list('CMD'));
    const port = String(await workerPort(worker));
    const status = readFileSync(`/proc/${worker.child.pid}/status`, 'utf8');
    // The process is node, not a shell, so signals reach it and the exit code is its own.
    expect(readlinkSync(`/proc/${worker.child.pid}/exe`)).toMatch(/\/node$/);
    expect(status).toMatch(/^Uid:\s+1000\s+1000\s+1000\s+1000$/m);
    const write = ['node', '-e', "require('node:fs').writeFileSync(process.argv[1], '')"];
    for (const path of ['/app/x', '/tmp/x', '/etc/sluice/x']) {
      const refused = await enter(deployment.folder, env, [...write, path]).ended;
      expect(refused.stderr, path).toContain('EROFS');
    }
    const healthCheck = () =>
      enter(deployment.folder, { ...env, SLUICE_HTTP_PORT: port }, image.healthCheck()).ended;
    expect(await healthCheck()).toMatchObject({ code: 0, stdout: '{"status":"ok"}\n' });
    const ready = await fetch(`http://127.0.0.1:${port}/readyz`);
    expect(await ready.json()).toMatchObject({ ready: true, redis: 'connected', database: 'connected' });

    await deployment.database.transaction(async connection => {
      // The batch waits for the lock on this row.
      await connection.query("INSERT INTO sluice_counters VALUES ('page_views', '/', 41, UTC_TIMESTAMP(3))");
      const ingest = command('ingest', '-');
      ingest.child.stdin!.end('{"counter":"page_views","key":"/"}\n');
      expect(await ingest.ended).toMatchObject({ code: 0 });
      const state = deployment.keys.state(deployment.keys.partitionOf('/'));
      await until(async () => Boolean(await deployment.redis.hget(state, 'token')), 'a batch in flight');
      worker.child.kill('SIGTERM');
      await until(
        () => worker.stdout().includes('worker stops after its current batch'),
        'the signal to arrive',
      );
      expect(worker.child.exitCode).toBeNull();
    });
    expect(await worker.ended).toMatchObject({ code: 0, stderr: '' });
    const [row] = await deployment.database.query('SELECT value FROM sluice_counters');
    expect(String(row?.value)).toBe('42');
    expect((await healthCheck()).code).toBe(1);
  });
});
