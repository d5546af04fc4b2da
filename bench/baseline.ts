// Runs a baseline in a process of its own, as the engine's parts are, and compares what MySQL holds afterwards.
// The process is this file's neighbour, baseline-process.ts.

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { compare } from '../scripts/load/tally.ts';
import type { BaselinePlan, BaselineResult } from './baseline-process.ts';
import type { Site } from './rig.ts';
import type { Measurement } from './scenario.ts';

export async function runBaseline(site: Site, plan: Omit<BaselinePlan, 'mysqlUrl'>): Promise<Measurement> {
  const child = fork(fileURLToPath(new URL('./baseline-process.ts', import.meta.url)), {
    execArgv: ['--import', 'tsx'],
    serialization: 'advanced',
  });
  try {
    const result = await new Promise<BaselineResult>((resolve, reject) => {
      child.on('message', resolve);
      child.on('exit', code => reject(new Error(`a baseline process ended with exit code ${code}`)));
      child.send({ ...plan, mysqlUrl: site.place.mysqlUrl } satisfies BaselinePlan);
    });
    const { difference } = await compare(site.database, {
      counters: result.sums,
      balances: new Float64Array(0),
      entries: new Float64Array(0),
    });
    const { updates, rows, statements, seconds } = result;
    const perSecond = updates / seconds;
    return {
      perSecond,
      difference,
      details: { updates, seconds, rows, statements, updatesPerBatch: plan.updatesPerBatch },
    };
  } finally {
    child.removeAllListeners('exit');
    child.kill();
  }
}
