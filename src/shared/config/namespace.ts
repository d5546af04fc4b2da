/** The prefix that separates several deployments on one Redis. */
import { ConfigurationError } from '../errors.ts';

/** @throws ConfigurationError if it holds a character that could end its hash tag */
export function checkNamespace(namespace: string): string {
  if (typeof namespace !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(namespace)) {
    throw new ConfigurationError(
      'SLUICE_NAMESPACE must start with a letter or digit and hold only letters, digits, "_", "." and "-", 64 at most.',
    );
  }
  return namespace;
}
