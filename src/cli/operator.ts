/** Who gives a command and why, for the audit records: `--operator`, else the user of this machine, and `--reason`. */
import { userInfo } from 'node:os';
import { ConfigurationError } from '../shared/errors.ts';
import { LIMITS } from '../shared/limits.ts';

interface Asked {
  readonly operator?: string;
  readonly reason?: string;
}

/**
 * Undefined where nothing is to be changed.
 * @param flag the option that has it changed
 * @throws ConfigurationError
 */
export function authorOf({ operator, reason }: Asked, flag: string, isGiven: boolean | undefined) {
  if (!isGiven && (operator !== undefined || reason !== undefined))
    throw new ConfigurationError(`--operator and --reason are for the record of a change; give ${flag} too.`);
  if (reason !== undefined && reason.length > LIMITS.operator)
    throw new ConfigurationError(`--reason must be ${LIMITS.operator} characters at most.`);
  return isGiven ? { operator: operatorName(operator), reason } : undefined;
}

/** @throws ConfigurationError where the name given is none */
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
