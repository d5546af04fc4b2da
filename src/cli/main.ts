#!/usr/bin/env node
/**
 * The entry of the `sluice` command. It handles SIGTERM and SIGINT before anything else is loaded: in a
 * container this process may be number 1, for which the system ignores an unhandled signal.
 */
import './signals.ts';

const [{ EXIT }, { runProgram }] = await Promise.all([import('./exit.ts'), import('./program.ts')]);

const isServing = ['worker', 'serve'].includes(process.argv[2] ?? '');

process.stdout.on('error', error => {
  // What serves writes only its log there, and can run without it.
  if (isServing) return;
  const { code } = error as NodeJS.ErrnoException;
  // The reader of our output has closed the pipe.
  if (code === 'EPIPE') process.exit(EXIT.ok);
  console.error(
    `sluice: OUTPUT_FAILED: stdout cannot be written (${code}), so the output is incomplete; check where it goes, and run the command again.`,
  );
  process.exit(EXIT.found);
});

const code = await runProgram(process.argv.slice(2));
// Waits until the output is written, so that a failure to write it is noticed.
if (!isServing) await new Promise(resolve => process.stdout.write('', resolve));
process.exit(code);
