// A program's side in its own process: takes a plan, prepares, reports that it is ready, starts when told.

import type { FromProgram } from '../program.ts';

/** @param prepare prepares the plan; the function that it resolves with runs once, at the start message */
export function serve<Plan, Result>(prepare: (plan: Plan) => Promise<() => Promise<Result>>): void {
  const tell = (message: FromProgram<Result>) => process.send?.(message);
  process.once('disconnect', () => process.exit());
  process.once('message', async (plan: Plan) => {
    try {
      const run = await prepare(plan);
      const told = new Promise(resolve => process.once('message', resolve));
      tell({ type: 'ready' });
      await told;
      tell({ type: 'done', result: await run() });
    } catch (error) {
      tell({ type: 'failed', message: (error as Error).message });
    }
  });
}
