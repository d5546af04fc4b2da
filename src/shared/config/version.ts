/** The version of this package. */
import { readFileSync } from 'node:fs';

/** The path is the same from the source folder and from the built one. */
export function packageVersion(): string {
  const file = new URL('../../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
