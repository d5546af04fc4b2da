// All temporary files of a run are in one folder. A run that leaves files there fails, and removes what
// killed runs left: servers' data would fill a disk within a day.

import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isRunning } from '../../scripts/demo/run-folder.ts';

const PREFIX = 'sluice-tests-';

export default function openRunFolder(): () => void {
  const parent = tmpdir();
  for (const name of readdirSync(parent))
    if (name.startsWith(PREFIX) && !isRunning(Number(name.slice(PREFIX.length))))
      rmSync(join(parent, name), { recursive: true, force: true });
  const folder = join(parent, `${PREFIX}${process.pid}`);
  mkdirSync(folder);
  // Every process of the run inherits these. Node keeps compiled code there, which starts a process in three quarters
  // of the work, and one that strips types in half of it.
  process.env.TMPDIR = folder;
  process.env.NODE_COMPILE_CACHE = join(folder, 'compiled');
  return () => {
    const left = readdirSync(folder).filter(name => name.startsWith('sluice-'));
    rmSync(folder, { recursive: true, force: true });
    process.env.TMPDIR = parent;
    delete process.env.NODE_COMPILE_CACHE;
    if (left.length > 0) throw new Error(`tests left behind: ${left.join(', ')}`);
  };
}
