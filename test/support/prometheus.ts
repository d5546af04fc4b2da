/**
 * Prometheus and promtool, which scripts/setup.sh unpacks; without them, tests that need them are skipped.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { findBinary } from '../../scripts/servers/binaries.ts';

const run = promisify(execFile);

export const prometheusBinary = find('prometheus');
export const promtoolBinary = find('promtool');

function find(name: string): string | undefined {
  try {
    return findBinary('prometheus', [name]);
  } catch {
    try {
      return findBinary('path', [name]);
    } catch {
      console.warn(`${name} is missing, tests that need it are skipped: run scripts/setup.sh test`);
      return undefined;
    }
  }
}

/** Runs promtool; `ok` tells whether it succeeded. */
export async function promtool(args: string[], input = ''): Promise<{ ok: boolean; said: string }> {
  const running = run(promtoolBinary!, args);
  running.child.stdin!.end(input);
  return running.then(
    ({ stdout, stderr }) => ({ ok: true, said: stdout + stderr }),
    (error: { stdout: string; stderr: string }) => ({ ok: false, said: error.stdout + error.stderr }),
  );
}

/** Samples of a metrics page, by name with labels as on the page. */
export function readSamples(text: string): Map<string, number> {
  return new Map(
    text
      .split('\n')
      .filter(line => line !== '' && !line.startsWith('#'))
      .map(line => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}
