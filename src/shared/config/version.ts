/** The version of this package, as its package.json says it. */
import { readFileSync } from 'node:fs';

/** Found from the source folder as from the built one. */
export function packageVersion(): string {
  const file = new URL('../../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
