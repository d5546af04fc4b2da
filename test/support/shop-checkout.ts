// A copy of examples/shop with its own install, once for a run, as a reader has it: in the checkout of a Sluice that
// is built. Other tests build and remove the project's dist/.

import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** Folder of the shop. */
    shopFolder: string;
  }
}

const project = fileURLToPath(new URL('../../', import.meta.url));
const QUIET = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];

export default async function checkOut(testProject: TestProject): Promise<() => Promise<void>> {
  const checkout = await mkdtemp(join(tmpdir(), 'sluice-shop-'));
  const folder = join(checkout, 'examples/shop');
  await mkdir(join(checkout, 'examples'));
  await cp(join(project, 'examples/shop'), folder, {
    recursive: true,
    filter: path => !path.includes('node_modules'),
  });
  await cp(join(project, 'package.json'), join(checkout, 'package.json'));
  await symlink(join(project, 'node_modules'), join(checkout, 'node_modules'));
  await symlink(join(project, 'dist-test'), join(checkout, 'dist'));
  await promisify(execFile)('npm', ['ci', '--omit=dev', ...QUIET], { cwd: folder });
  testProject.provide('shopFolder', folder);
  return () => rm(checkout, { recursive: true, force: true });
}
