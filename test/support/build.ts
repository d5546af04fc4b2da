// Compiles the package once before a run, for tests that start the `sluice` command: compiled code starts in
// half the time. It has its own folder, since the package tests build and remove dist/. It does nothing if no
// source has changed, so two runs can go on in parallel.

import { execFile } from 'node:child_process';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const project = fileURLToPath(new URL('../../', import.meta.url));
const FOLDER = 'dist-test';
const DONE = join(project, FOLDER, 'built');

const changedAt = async (path: string) => (await stat(path)).mtimeMs;

export default async function build(): Promise<void> {
  const builtAt = await changedAt(DONE).catch(() => 0);
  const files = await readdir(join(project, 'src'), { recursive: true });
  const sources = [
    'src',
    'package.json',
    'tsconfig.json',
    'tsconfig.build.json',
    ...files.map(file => `src/${file}`),
  ];
  const times = await Promise.all(sources.map(file => changedAt(join(project, file))));
  if (Math.max(...times) < builtAt) return;
  await promisify(execFile)('bash', [join(project, 'scripts/build.sh'), FOLDER, '--noCheck']);
  await writeFile(DONE, '');
}
