/** What `sluice failed` works with, on both servers, for the time of one command. */
import { FailedUpdates } from '../replay/index.ts';
import { withConnections } from './connections.ts';

/**
 * @param options `looks` for a command that changes nothing
 * @throws any of our errors
 */
export async function withFailed<Result>(
  use: (failed: FailedUpdates) => Promise<Result>,
  options = { looks: false },
): Promise<Result> {
  return withConnections(
    ({ config, place, ...open }) =>
      use(new FailedUpdates({ ...open, address: place, settings: config.settings })),
    options,
  );
}
