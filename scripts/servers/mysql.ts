// Starts MySQL or MariaDB with a data folder of its own and durable settings as in production. Creating a
// data folder takes seconds, so it is created once per version and then copied.

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder, findBinary, versionOf } from './binaries.ts';
import { makeCertificates } from './certificates.ts';
import { type RunningServer, startServer } from './process.ts';

export type MysqlFlavour = 'mariadb' | 'galera' | 'mysql97' | 'path';

export interface MysqlOptions {
  flavour: MysqlFlavour;
  /** Folder for data and log of one server, created if needed. Existing data is used again. */
  directory: string;
  /** Added last, to override the defaults: ['--max-connections=500']. A function is called at every start. */
  args?: string[] | (() => string[] | Promise<string[]>);
  /** Arguments that are also needed when the data folder is created: ['--lower-case-table-names=1']. */
  initialArgs?: string[];
  /** Issues a certificate (see caFile) and refuses connections without TLS. */
  tls?: boolean;
}

interface Program {
  flavour: MysqlFlavour;
  file: string;
  version: string;
  isMariadb: boolean;
  /** First arguments of every call of this program. */
  common: string[];
}

const run = promisify(execFile);
const probeLimit = 2_000;

export async function startMysql(options: MysqlOptions): Promise<RunningServer & { caFile?: string }> {
  const { directory, args: added = [], initialArgs = [] } = options;
  const program = await findProgram(options.flavour);
  await mkdir(directory, { recursive: true });
  const data = join(directory, 'data');
  await mkdir(temporary(data), { recursive: true });
  if (!existsSync(data)) await copyWhole(await dataTemplate(program, initialArgs), data);
  const certificates = options.tls ? await makeCertificates(join(directory, 'tls')) : undefined;
  const tlsArgs = certificates
    ? [
        `--ssl-ca=${certificates.caFile}`,
        `--ssl-cert=${certificates.certFile}`,
        `--ssl-key=${certificates.keyFile}`,
        '--require-secure-transport=ON',
      ]
    : [];
  const server = await startServer({
    name: 'mysql',
    version: program.version,
    directory,
    file: program.file,
    url: port => `mysql://root@127.0.0.1:${port}`,
    args: async port => {
      const last = typeof added === 'function' ? await added() : added;
      return [...program.common, ...settings(program, data, port), ...tlsArgs, ...initialArgs, ...last];
    },
    // The log belongs to this process, whereas another run's server may have the port.
    answers: async ({ port, log }) =>
      /ready for connections/.test(log) && new RegExp(`port: ${port}\\b`).test(log) && (await greets(port)),
  });
  return certificates ? Object.assign(server, { caFile: certificates.caFile }) : server;
}

async function findProgram(flavour: MysqlFlavour): Promise<Program> {
  const file = findBinary(flavour, flavour === 'mysql97' ? ['mysqld'] : ['mariadbd', 'mysqld']);
  const version = await versionOf(file);
  const asRoot = process.getuid?.() === 0 ? ['--user=root'] : [];
  // The wrappers of unpacked servers pass --no-defaults, which must come first.
  const common = flavour === 'path' ? ['--no-defaults', ...asRoot] : asRoot;
  return { flavour, file, version, isMariadb: /mariadb/i.test(version), common };
}

/** Each server needs its own: a MariaDB that starts deletes all temporary tables that it finds there. */
export function temporary(data: string): string {
  return join(dirname(data), 'tmp');
}

function settings(program: Program, data: string, port: number): string[] {
  const durable = ['--innodb-flush-log-at-trx-commit=1', '--sync-binlog=1'];
  const own = program.isMariadb
    ? ['--innodb-log-file-size=96M']
    : ['--innodb-redo-log-capacity=256M', '--loose-mysqlx=OFF'];
  return [
    `--datadir=${data}`,
    `--tmpdir=${temporary(data)}`,
    `--port=${port}`,
    '--bind-address=127.0.0.1',
    // Relative to the data folder, since a socket's path is limited to 107 characters.
    '--socket=mysql.sock',
    '--pid-file=mysql.pid',
    '--innodb-buffer-pool-size=256M',
    '--performance-schema=OFF',
    ...durable,
    ...own,
  ];
}

/** A data folder for this version and these arguments, to be copied; created if it is missing. */
async function dataTemplate(program: Program, args: string[]): Promise<string> {
  const templates = join(cacheFolder(), 'templates');
  const called = [program.flavour, program.version, ...args].join('-').replace(/[^\w.-]/g, '_');
  const template = join(templates, called);
  if (existsSync(template)) return template;
  await mkdir(templates, { recursive: true });
  const work = await mkdtemp(join(templates, '.filling-'));
  try {
    const data = join(work, 'data');
    await fillDataFolder(program, data, args);
    // Each server must create its own identity.
    await rm(join(data, 'auto.cnf'), { force: true });
    await renameUnlessThere(data, template);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return template;
}

async function fillDataFolder(program: Program, data: string, args: string[]): Promise<void> {
  const asRoot = process.getuid?.() === 0 ? ['--user=root'] : [];
  const env = { ...process.env, TMPDIR: dirname(data) };
  try {
    if (program.isMariadb) {
      const initialiser = findBinary(program.flavour, ['mariadb-install-db', 'mysql_install_db']);
      const login = ['--auth-root-authentication-method=normal', '--skip-test-db'];
      await run(initialiser, ['--no-defaults', ...asRoot, ...login, `--datadir=${data}`, ...args], { env });
    } else {
      await run(program.file, [...program.common, '--initialize-insecure', `--datadir=${data}`, ...args], {
        env,
      });
    }
  } catch (cause) {
    const said = (cause as { stderr?: string }).stderr?.slice(-3_000);
    throw new Error(`could not fill a data folder for ${program.file}:\n${said}`, { cause });
  }
}

/** Copies under another name first, so that an interrupted copy is not taken for data. */
async function copyWhole(from: string, to: string): Promise<void> {
  const work = await mkdtemp(join(dirname(to), '.copying-'));
  try {
    await cp(from, join(work, 'data'), { recursive: true });
    await rename(join(work, 'data'), to);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function renameUnlessThere(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    // Another run was faster, and its folder is as good.
    if (!existsSync(to)) throw error;
  }
}

/** Whether the port answers with MySQL's handshake, as it does once the server accepts connections. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port });
    const handshakeVersion = 10;
    socket.setTimeout(probeLimit, () => socket.destroy(new Error('no handshake')));
    socket.once('error', reject);
    socket.once('close', () => resolve(false));
    socket.once('data', packet => {
      resolve(packet[4] === handshakeVersion);
      socket.destroy();
    });
  });
}
