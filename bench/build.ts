// The code that is measured: this project's, or another version's in a folder beside it. Only the `src` of
// another version is measured. It gets the load of this one, so that both do the same work.

import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Watch } from '../scripts/load/watch.ts';
import { parseSettings, type Settings } from '../src/shared/config/settings.ts';
import { Database } from '../src/shared/mysql/database.ts';
import { migrate } from '../src/shared/mysql/migrate.ts';
import { UsageError } from './usage-error.ts';

export const project = fileURLToPath(new URL('../', import.meta.url));

/** Parts of a version that the benchmark calls in its own process, since each knows its own format. */
interface Code {
  Watch: typeof Watch;
  Database: typeof Database;
  migrate: typeof migrate;
  parseSettings: typeof parseSettings;
}

/** Copied from a folder; of a revision, everything is. The page of the console is built from the runbook too. */
const PARTS = [
  ...['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'src', 'scripts'],
  'docs/operating.md',
];

export class Build {
  /** Its column in tables. */
  readonly name: 'old' | 'new';
  readonly folder: string;
  readonly #code: Code;

  private constructor(name: 'old' | 'new', folder: string, code: Code) {
    this.name = name;
    this.folder = folder;
    this.#code = code;
  }

  static own(): Build {
    return new Build('new', project, { Watch, Database, migrate, parseSettings });
  }

  /**
   * Another version, for comparison.
   * @param version a git revision, or the folder of another checkout, which is copied
   * @param into a new folder within this project, which the caller removes
   * @throws UsageError
   */
  static async other(version: string, into: string): Promise<Build> {
    mkdirSync(into, { recursive: true });
    const given = resolve(version);
    if (existsSync(join(given, 'src', 'cli', 'main.ts'))) {
      for (const part of PARTS) cpSync(join(given, part), join(into, part), { recursive: true });
    } else checkOut(version, into);
    shareLoad(into);
    shareDependencies(into);
    return new Build('old', into, await codeOf(into, version));
  }

  settings(given: Partial<Settings>): Settings {
    return this.#code.parseSettings(given);
  }

  watch(redisUrl: string, namespace: string, partitions: number): Promise<Watch> {
    return this.#code.Watch.open(redisUrl, namespace, partitions);
  }

  async migrate(mysqlUrl: string, settings: Settings): Promise<void> {
    const database = new this.#code.Database({ url: mysqlUrl }, { ...settings, connections: 2 });
    try {
      await this.#code.migrate(database, settings.partitions);
    } finally {
      await database.close();
    }
  }

  /**
   * The command line as users run it, compiled at the first call: its memory has no TypeScript loader.
   * @param into a folder from which the version's dependencies are found
   */
  compiled(into: string): string {
    const program = join(into, 'dist', 'cli', 'main.js');
    if (!existsSync(program)) {
      mkdirSync(into, { recursive: true });
      copyFileSync(join(this.folder, 'package.json'), join(into, 'package.json'));
      const build = join(this.folder, 'scripts', 'build.sh');
      // A version from before this option ignores it.
      execFileSync('bash', [build, join(into, 'dist'), '--noCheck'], { stdio: 'pipe' });
    }
    return program;
  }
}

function checkOut(revision: string, into: string): void {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: project, stdio: 'pipe' });
  let commit: string;
  try {
    commit = git('rev-parse', '--verify', '--end-of-options', `${revision}^{commit}`).toString().trim();
  } catch {
    throw new UsageError(`"${revision}" is neither a git revision nor a folder with Sluice's sources`);
  }
  const archive = join(into, 'archive.tar');
  git('archive', '--format=tar', `--output=${archive}`, commit);
  execFileSync('tar', ['-xf', archive, '-C', into], { stdio: 'pipe' });
}

/**
 * Gives the folder this version's programs of the load, which use only Sluice's public interface. `watch.ts`
 * reads the version's own keys; only of versions that could not be compared yet, it lacks a parameter.
 */
function shareLoad(folder: string): void {
  const load = join('scripts', 'load');
  const own = join(folder, load, 'watch.ts');
  const canBeCompared = existsSync(own) && /\batMost\(/.test(readFileSync(own, 'utf8'));
  cpSync(join(project, load), join(folder, load), {
    recursive: true,
    filter: source => !(canBeCompared && source.endsWith('watch.ts')),
  });
}

/** Links to this project's dependencies, or installs others. */
function shareDependencies(folder: string): void {
  const lock = (of: string) => readFileSync(join(of, 'package-lock.json'), 'utf8');
  if (lock(folder) === lock(project))
    symlinkSync(join(project, 'node_modules'), join(folder, 'node_modules'));
  else execFileSync('bash', [join(folder, 'scripts', 'setup.sh'), 'sluice'], { stdio: 'pipe' });
}

async function codeOf(folder: string, version: string): Promise<Code> {
  const from = (path: string) => import(pathToFileURL(join(folder, path)).href);
  try {
    const [{ Watch }, { Database }, { migrate }, { parseSettings }] = await Promise.all([
      from('scripts/load/watch.ts'),
      from('src/shared/mysql/database.ts'),
      from('src/shared/mysql/migrate.ts'),
      from('src/shared/config/settings.ts'),
    ]);
    return { Watch, Database, migrate, parseSettings };
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new UsageError(`${version} is too old to be compared: its files are elsewhere (${reason})`, {
      cause,
    });
  }
}
