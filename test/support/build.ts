// Compiles the package once for each run of the tests, for those that start the `sluice` command: compiled code starts in
// half the time. A folder of its own, since the tests of the package build and remove dist/.

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export default async function build(): Promise<void> {
  const script = fileURLToPath(new URL('../../scripts/build.sh', import.meta.url));
  await promisify(execFile)('bash', [script, 'dist-test']);
}
