/** Opens both servers for one command of `sluice failed`. */
import { FailedUpdates } from '../replay/index.ts';
import { withConnections } from './connections.ts';

/**
 * @param options `looks`: the command changes nothing
 * @throws any of our errors
 */
export async function withFailed<Result>(
  use: (failed: FailedUpdates) => Promise<Result>,
  options = { looks: false },
): Promise<Result> {
  return withConnections(
    ({ config, ...open }) => use(new FailedUpdates({ ...open, settings: config.settings })),
    options,
  );
}
