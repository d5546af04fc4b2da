// The package as users get it: packed, installed into an empty project, imported, type-checked, and run.

import { execFile } from 'node:child_process';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { startMysql, startRedis } from '../../scripts/servers.ts';
import { PAGE_FILES } from '../../src/console/assets.ts';
import { temporaryFolder } from '../support/servers.ts';

const project = fileURLToPath(new URL('../../', import.meta.url));
const compiler = join(project, 'node_modules/typescript/bin/tsc');

interface Result {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end, whatever its exit code is. */
async function run(file: string, args: string[], cwd: string, env: NodeJS.ProcessEnv = {}): Promise<Result> {
  const options = { cwd, env: { ...process.env, ...env }, maxBuffer: 16 * 1024 * 1024 };
  try {
    return { code: 0, ...(await promisify(execFile)(file, args, options)) };
  } catch (error) {
    const { code, stdout, stderr } = error as Result;
    return { code, stdout, stderr };
  }
}

let folder: string;
let packed: string[];

beforeAll(async () => {
  folder = await temporaryFolder();
  const pack = await run('npm', ['pack', '--json', '--pack-destination', folder], project);
  expect(pack.code, pack.stderr).toBe(0);
  // The build script may print lines before npm's JSON.
  const [report] = Object.values(JSON.parse(pack.stdout.slice(pack.stdout.search(/^[[{]/m)))) as [
    { filename: string; files: { path: string }[] },
  ];
  packed = report.files.map(file => file.path);
  await writeFile(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
  const install = await run('npm', ['install', ...options, `./${report.filename}`], folder);
  expect(install.code, install.stderr).toBe(0);
}, 300_000);

describe('the tarball', () => {
  it('holds every file that the code reads at run time, and nothing else of the checkout', async () => {
    const sources = await run('git', ['ls-files', '--', 'src/**/*.lua', 'src/**/*.sql'], project);
    const needed = sources.stdout.trim().split('\n');
    expect(needed.length).toBeGreaterThan(10);
    expect(packed).toEqual(expect.arrayContaining(needed.map(path => path.replace(/^src/, 'dist'))));
    const page = Object.keys(PAGE_FILES).map(name => `dist/console/page/${name}`);
    expect(packed).toEqual(expect.arrayContaining(page));
    const beside = packed.filter(
      path => !page.includes(path) && !/^dist\/.*\.(js|d\.ts|lua|sql)$/.test(path),
    );
    expect(beside.toSorted()).toEqual(['LICENSE', 'README.md', 'config.schema.json', 'package.json']);
  });

  it('has an executable command', async () => {
    expect((await stat(join(folder, 'node_modules/sluice/dist/cli/main.js'))).mode & 0o111).not.toBe(0);
  });
});

describe('an empty project', () => {
  it('imports every entry and finds the schema', async () => {
    const program = `
      import { createProducer, defineConfig, SluiceError } from 'sluice';
      import { Worker } from 'sluice/worker';
      import { openFailed } from 'sluice/replay';
      import schema from 'sluice/config.schema.json' with { type: 'json' };
      const failure = await createProducer({
        redis: 'redis://127.0.0.1:1', mysql: 'nonsense', definitions: defineConfig({}),
      }).catch(error => error);
      console.log(JSON.stringify([typeof Worker.start, typeof openFailed, schema.type, failure instanceof SluiceError, failure.code]));
    `;
    await writeFile(join(folder, 'import.mjs'), program);
    const { stdout, stderr } = await run(process.execPath, ['import.mjs'], folder);
    expect(stdout, stderr).toBe('["function","function","object",true,"INVALID_CONFIGURATION"]\n');
  });

  it('type-checks against the declared names', async () => {
    const source = (counter: string, program: string) => `
      import { createProducer, defineConfig, type ApplyResult } from 'sluice';
      import { Worker } from 'sluice/worker';
      import { openFailed } from 'sluice/replay';
      const definitions = defineConfig({ counters: { page_views: {} }, points: { loyalty: { floor: 0 } } });
      const sluice = await createProducer({ redis: 'redis://h', mysql: 'mysql://h/d', definitions });
      const { value, duplicate } = await sluice.counter('${counter}').increment('/', 5, { id: 'x' });
      const receipt = await sluice.points('${program}').credit('1', 5, { id: 'x', metadata: { a: 1 } });
      await receipt.persisted({ timeoutMs: 1 });
      const results: ApplyResult[] = await sluice.apply([{ counter: 'page_views', key: '/', by: 1 }]);
      const failed = await openFailed({ redis: 'redis://h', mysql: 'mysql://h/d', definitions });
      const { updates } = await failed.replay({ kind: 'entry' }, { operator: 'me' }, { rate: 5 });
      export const used: [number | null, boolean, number, typeof Worker.start, number | undefined] =
        [value, duplicate, results.length, Worker.start, updates.replayed];
    `;
    const config = {
      compilerOptions: {
        module: 'nodenext',
        target: 'es2023',
        strict: true,
        noEmit: true,
        // Users install the types of Node, which the driver's declarations need.
        types: ['node'],
        typeRoots: [join(project, 'node_modules/@types')],
        // Checks our declarations and those of every dependency that they name.
        skipLibCheck: false,
      },
      files: ['consumer.ts'],
    };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
    const check = async (counter: string, program: string) => {
      await writeFile(join(folder, 'consumer.ts'), source(counter, program));
      return run(process.execPath, [compiler, '-p', folder], folder);
    };
    expect(await check('page_views', 'loyalty')).toMatchObject({ code: 0, stdout: '' });
    const misspelt = await check('page_veiws', 'loyalti');
    expect(misspelt.code).not.toBe(0);
    const errors = [...misspelt.stdout.matchAll(/^consumer\.ts\((\d+),\d+\): error (TS\d+)/gm)];
    expect(errors.map(([, line, code]) => `${line} ${code}`)).toEqual(['7 TS2345', '8 TS2345']);
  });

  it('runs the command, from help to rows in MySQL', async () => {
    const [redis, mysql] = await Promise.all([
      startRedis({ flavour: 'redis8', directory: join(folder, 'redis') }),
      startMysql({ flavour: 'mysql97', directory: join(folder, 'mysql') }),
    ]);
    try {
      // A new server has only its system databases, so the driver creates one.
      const driver = `
        import { createConnection } from 'mysql2/promise';
        const connection = await createConnection(process.argv[2]);
        await connection.query('CREATE DATABASE app');
        await connection.end();`;
      await writeFile(join(folder, 'database.mjs'), driver);
      expect((await run(process.execPath, ['database.mjs', mysql.url], folder)).code).toBe(0);
      await writeFile(join(folder, 'sluice.config.json'), '{"counters":{"page_views":{}}}');
      await writeFile(join(folder, 'in.ndjson'), '{"counter":"page_views","key":"/"}\n');
      const env = { REDIS_URL: redis.url, MYSQL_URL: `${mysql.url}/app` };
      const sluice = (...args: string[]) => run('npx', ['--no-install', 'sluice', ...args], folder, env);

      const help = await sluice('--help');
      expect(help.code, help.stderr).toBe(0);
      for (const command of ['worker', 'migrate', 'ingest', 'health', 'status', 'verify', 'drain', 'failed'])
        expect(help.stdout).toContain(`  ${command}`);
      const { version } = JSON.parse(await readFile(join(project, 'package.json'), 'utf8'));
      expect((await sluice('--version')).stdout).toBe(`${version}\n`);
      expect((await sluice('migrate')).code).toBe(0);
      expect((await sluice('ingest', 'in.ndjson', '--json')).stdout).toContain('"accepted":1');
      expect((await sluice('verify', '--json')).stdout).toBe(
        '{"checked":1,"drift":[],"ledger":[],"transfers":[]}\n',
      );
    } finally {
      await Promise.all([redis.stop(), mysql.stop()]);
    }
  });
});
