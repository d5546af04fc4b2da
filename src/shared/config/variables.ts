/** How environment variables are described, and how their texts are read. */
import { accessSync, constants } from 'node:fs';
import { ConfigurationError } from '../errors.ts';

export interface Variable {
  readonly name: string;
  readonly default: string;
  readonly what: string;
}

/** @throws ConfigurationError */
export function readFlag(name: string, value: string): boolean {
  if (value === '1' || value === 'true') return true;
  if (value === '0' || value === 'false') return false;
  throw new ConfigurationError(`${name} must be 1 or 0.`);
}

/** @throws ConfigurationError */
export function readPort(name: string, value: string): number {
  const number = /^\d{1,5}$/.test(value) ? Number(value) : Number.NaN;
  if (number <= 65_535) return number;
  throw new ConfigurationError(`${name} must be a number from 0 to 65535.`);
}

/**
 * Checks the file here, since a later error would not name the variable.
 * @throws ConfigurationError
 */
export function readableFile(name: string, path: string | undefined): string | undefined {
  try {
    if (path !== undefined) accessSync(path, constants.R_OK);
  } catch (cause) {
    throw new ConfigurationError(
      `${name} names a file that cannot be read: ${path}; check its path and rights.`,
      { cause },
    );
  }
  return path;
}
