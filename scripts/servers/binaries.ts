// Finds the program of a server flavour, in the cache folder of scripts/setup.sh or on PATH, and its version.

import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Same rule as cache_folder in scripts/lib.sh, for programs that scripts/run.sh did not start. */
export function cacheFolder(): string {
  const chosen = process.env.SLUICE_CACHE;
  if (chosen) return chosen;
  const home = join(homedir(), '.cache', 'sluice');
  try {
    mkdirSync(home, { recursive: true });
    accessSync(home, constants.W_OK);
    return home;
  } catch {
    return fileURLToPath(new URL('../../.cache', import.meta.url));
  }
}

/** The first of `names` that exists; `flavour` is a folder of the cache, or 'path' for PATH. */
export function findBinary(flavour: string, names: string[]): string {
  const folders =
    flavour === 'path'
      ? [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']
      : [join(cacheFolder(), 'servers', flavour, 'bin')];
  for (const name of names) {
    for (const folder of folders) {
      if (folder && existsSync(join(folder, name))) return join(folder, name);
    }
  }
  const remedy = `run scripts/setup.sh ${flavour === 'path' ? 'demo' : 'test'}`;
  throw new Error(`no ${names.join(' or ')} in ${folders.join(', ')}: ${remedy}`);
}

export async function versionOf(file: string): Promise<string> {
  const { stdout } = await run(file, ['--version']);
  const version = /(?:v=|Ver )(\S+)/.exec(stdout)?.[1];
  if (!version) throw new Error(`${file} --version is not understood: ${stdout}`);
  return version;
}
