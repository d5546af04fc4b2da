/** Runs `sluice verify`, as an operator would, to compare live values with the database. */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Deployment, ownEnvironment } from '../load/processes.ts';
import { TYPESCRIPT } from '../load/typescript.ts';
import { partitions } from './traffic.ts';

const run = promisify(execFile);
const project = fileURLToPath(new URL('../../', import.meta.url));

/** Resolves with the problem, if there is one. */
export async function verifyDrift(deployment: Deployment): Promise<string | undefined> {
  const env = ownEnvironment(deployment, { SLUICE_PARTITIONS: String(partitions) });
  const command = [...TYPESCRIPT, 'src/cli/main.ts', 'verify', '--json'];
  try {
    const { stdout } = await run(process.execPath, command, { cwd: project, env });
    const { checked, drift, ledger, scores = [] } = JSON.parse(stdout);
    if (checked > 0 && drift.length === 0 && scores.length === 0 && ledger.length === 0) return undefined;
    return `sluice verify checked ${checked} keys and found: ${stdout}`;
  } catch (error) {
    const { stdout = '', stderr = '', code } = error as { stdout?: string; stderr?: string; code?: number };
    return `sluice verify ended with ${code}: ${stdout}${stderr}`;
  }
}
