/** All tests in one process: the first template of a process takes ten seconds, every other one half of one. */
import { readdirSync } from 'node:fs';

for (const file of readdirSync(import.meta.dirname).sort())
  if (file.endsWith('.test.ts')) await import(`./${file}`);
