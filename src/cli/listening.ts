/** What helps if a process cannot listen. */
import { ConfigurationError, SluiceError } from '../shared/errors.ts';

/**
 * @param prefix of the variables with host and port, such as `SLUICE_API`
 * @throws ConfigurationError if the address cannot be used
 */
export async function listening<Result>(
  prefix: string,
  { host, port }: { readonly host: string; readonly port: number },
  listen: () => Promise<Result>,
): Promise<Result> {
  try {
    return await listen();
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause;
    throw new ConfigurationError(
      `The process cannot listen on ${host}:${port} (${(cause as NodeJS.ErrnoException).code}); ` +
        `set ${prefix}_PORT to a free port, or to 0 for any, and ${prefix}_HOST to an address of this machine.`,
      { cause },
    );
  }
}
