// The side of a program that its process runs: takes a plan, prepares, says that it is ready, and goes when told to.

import type { FromProgram } from '../program.ts';

/** @param prepare makes ready what the plan asks for; what it resolves to is run at the word, once */
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
