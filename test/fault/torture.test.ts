// A short `npm run torture`: two minutes at least, and each kind of fault that its servers have. The date chooses
// the servers and the order of faults; TEST_SEED chooses others, or repeats a run.

import { expect, it } from 'vitest';
import { TYPESCRIPT } from '../../scripts/load/typescript.ts';
import { cacheFolder } from '../../scripts/servers/binaries.ts';
import { faultsOf } from '../../scripts/torture/faults/catalogue.ts';
import { parseOptions } from '../../scripts/torture/options.ts';
import { cleanUp } from '../support/cleanup.ts';
import { start } from '../support/command.ts';

const MINUTES = 2;
/** Half of what a person's run has: the tests beside it need the machine too. */
const CALLERS = '2';
/** No wait ends here: the torture fails by itself if one takes two minutes. */
const LIMIT_MS = 30 * 60_000;
const dayMs = 24 * 60 * 60 * 1000;
const seed = process.env.TEST_SEED ?? String(Math.floor(Date.now() / dayMs));

function torture(args: string[]) {
  const running = start(process.execPath, [...TYPESCRIPT, 'scripts/torture.ts', ...args], {
    SLUICE_CACHE: cacheFolder(),
  });
  cleanUp(async () => {
    running.child.kill('SIGTERM');
    await running.ended;
  });
  return running;
}

/** A long message may be cut where it is shown. */
function reasonFirst(stdout: string): string {
  const [reasons = [], others = []] = [true, false].map(wanted =>
    stdout.split('\n').filter(line => line.includes('PROBLEM: ') === wanted),
  );
  return [...reasons, ...others].join('\n');
}

it(`the torture loses nothing and counts nothing twice, seed ${seed}`, { timeout: LIMIT_MS }, async () => {
  const { topology, database } = parseOptions(['--seed', seed]);
  const kinds = faultsOf(topology, database)
    .map(fault => fault.kind)
    .sort();
  const args = [
    ...['--minutes', String(MINUTES), '--faults', String(kinds.length)],
    ...['--seed', seed, '--callers', CALLERS],
  ];
  const { code, stdout, stderr } = await torture(args).ended;
  console.log(stdout);
  expect(code, reasonFirst(stdout) + stderr).toBe(0);
  const result = JSON.parse(stdout.trimEnd().split('\n').at(-1)!);
  const recovery = { p50: expect.any(Number), max: expect.any(Number) };
  expect(result).toEqual({
    faults: Object.fromEntries(kinds.map(kind => [kind, expect.any(Number)])),
    acknowledged: expect.any(Number),
    acknowledgedOverHttp: expect.any(Number),
    lost: 0,
    doubled: 0,
    declared: expect.any(Number),
    recoverySeconds: Object.fromEntries(kinds.map(kind => [kind, recovery])),
  });
  const counts: number[] = Object.values(result.faults);
  expect(counts.reduce((sum, count) => sum + count)).toBeGreaterThanOrEqual(kinds.length);
  expect(result.acknowledged).toBeGreaterThan(1000);
  expect(result.acknowledgedOverHttp).toBeGreaterThan(1000);
});

it('the torture refuses unknown options, and has a help text', async () => {
  expect(await torture(['--topology', 'ring']).ended).toMatchObject({
    code: 2,
    stdout: '',
    stderr: 'torture: --topology takes standalone, sentinel, cluster, not "ring"\n',
  });
  const help = await torture(['--help']).ended;
  expect(help).toMatchObject({ code: 0, stderr: '' });
  expect(help.stdout).toMatch(/^Usage: npm run torture/);
});
