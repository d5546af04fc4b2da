// Writes the newest results into README.md and bench/README.md. A unit test compares them with the results.

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { filled } from '../scripts/generated.ts';
import { resultsTables, speedText } from './results-page.ts';

export const readmeFile = new URL('../README.md', import.meta.url);
export const benchFile = new URL('README.md', import.meta.url);

/** README.md with the newest results. */
export function readmePage(page: string): string {
  return filled(page, 'speed', speedText());
}

/** bench/README.md with the newest results. */
export function benchPage(page: string): string {
  return filled(page, 'results', resultsTables());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(readmeFile, readmePage(readFileSync(readmeFile, 'utf8')));
  writeFileSync(benchFile, benchPage(readFileSync(benchFile, 'utf8')));
}
