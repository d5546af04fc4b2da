/** Who runs a command and why, for the audit records: `--operator`, by default the user, and `--reason`. */
import { userInfo } from 'node:os';
import { ConfigurationError } from '../shared/errors.ts';
import { LIMITS } from '../shared/limits.ts';

interface Asked {
  readonly operator?: string;
  readonly reason?: string;
}

/**
 * Undefined if the command changes nothing.
 * @param flag the option that makes it change something
 * @throws ConfigurationError
 */
export function authorOf({ operator, reason }: Asked, flag: string, isGiven: boolean | undefined) {
  if (!isGiven && (operator !== undefined || reason !== undefined))
    throw new ConfigurationError(
      `--operator and --reason are recorded with a change only; give ${flag} too, or leave them out.`,
    );
  if (reason !== undefined && reason.length > LIMITS.operator)
    throw new ConfigurationError(`--reason must be ${LIMITS.operator} characters at most.`);
  return isGiven ? { operator: operatorName(operator), reason } : undefined;
}

/** @throws ConfigurationError if the given name is empty or too long */
export function operatorName(given: string | undefined): string {
  if (given === undefined) return userName();
  if (given === '' || given.length > LIMITS.operator)
    throw new ConfigurationError(`--operator must be a name of 1 to ${LIMITS.operator} characters.`);
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
