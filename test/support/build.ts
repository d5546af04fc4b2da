// Compiles the package once before a run, for tests that start the `sluice` command: compiled code starts in
// half the time. The page of the console is in it. It has its own folder, since the package tests build and remove
// dist/. It does nothing if no source has changed, so two runs can go on in parallel; if both find a change, the
// second waits for the first.

import { execFile } from 'node:child_process';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { isRunning } from '../../scripts/demo/run-folder.ts';

const project = fileURLToPath(new URL('../../', import.meta.url));
const FOLDER = 'dist-test';
const DONE = join(project, FOLDER, 'built');

const changedAt = async (path: string) => (await stat(path)).mtimeMs;

/** Has the number of the process that builds. */
const LOCK = join(project, 'dist-test.lock');

export default async function build(): Promise<void> {
  if (await isCurrent()) return;
  await lock();
  try {
    if (await isCurrent()) return;
    await promisify(execFile)('bash', [join(project, 'scripts/build.sh'), FOLDER, '--noCheck']);
    await writeFile(DONE, '');
  } finally {
    await rm(LOCK, { force: true });
  }
}

async function isCurrent(): Promise<boolean> {
  const builtAt = await changedAt(DONE).catch(() => 0);
  const files = await readdir(join(project, 'src'), { recursive: true });
  const sources = [
    ...[
      'src',
      'package.json',
      'tsconfig.json',
      'tsconfig.build.json',
      'scripts/build-page.ts',
      'scripts/runbook-page.ts',
    ],
    'docs/operating.md',
    ...files.map(file => `src/${file}`),
  ];
  const times = await Promise.all(sources.map(file => changedAt(join(project, file))));
  return Math.max(...times) < builtAt;
}

async function lock(): Promise<void> {
  for (;;) {
    const isMine = await writeFile(LOCK, String(process.pid), { flag: 'wx' }).then(
      () => true,
      () => false,
    );
    if (isMine) return;
    const holder = Number(await readFile(LOCK, 'utf8').catch(() => ''));
    // A run that was killed cannot remove it.
    if (holder > 0 && !isRunning(holder)) await rm(LOCK, { force: true });
    await setTimeout(100);
  }
}
