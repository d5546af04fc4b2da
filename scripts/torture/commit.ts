/** The commit of the code that ran, for readers of a report. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const project = fileURLToPath(new URL('../../', import.meta.url));

function git(...args: string[]): string {
  return execFileSync('git', args, { cwd: project, stdio: ['ignore', 'pipe', 'ignore'] })
    .toString()
    .trim();
}

/** The commit, and whether other files than reports differ from it; `unknown` outside a repository. */
export function commitOfProject(): string {
  try {
    const commit = git('rev-parse', '--short', 'HEAD');
    // A torture of many pairs changes the report after each.
    return git('status', '--porcelain', '--', ':/', ':!*report.md') === ''
      ? commit
      : `${commit} with changes`;
  } catch {
    return 'unknown';
  }
}
