/** Who gives a command, for the audit records: `--operator`, else the user of this machine. */
import { userInfo } from 'node:os';
import { ConfigurationError } from '../shared/errors.ts';

/** @throws ConfigurationError where the name given is none */
export function operatorName(given: string | undefined): string {
  if (given === undefined) return userName();
  if (given === '' || given.length > 255)
    throw new ConfigurationError('--operator must be a name of 1 to 255 characters.');
  return given;
}

/** A container's user need not have a name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}
