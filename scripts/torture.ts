/**
 * `npm run torture`: producers and workers on real servers while processes, servers and connections break one
 * after another; then each acknowledged update is compared. The last line of stdout is the result as JSON.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseOptions, type TortureOptions, UsageError, usage } from './torture/options.ts';
import { isFailure, jsonOf, type Outcome, writeReport } from './torture/report.ts';
import { Torture } from './torture/run.ts';
import { openStack, type Stack } from './torture/stack.ts';

const runs = fileURLToPath(new URL('../.torture/', import.meta.url));
const signals = { SIGINT: 130, SIGTERM: 143 } as const;
const shownDifferences = 50;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function main(options: TortureOptions): Promise<number> {
  const { topology, database, seed } = options;
  const folder = join(runs, `${topology}-${database}-${seed}-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  for (const [signal, code] of Object.entries(signals)) {
    // Servers and processes end with this one.
    process.on(signal, () => process.exit(code));
  }
  say(
    `seed ${seed}: ${topology}, ${database}, durability ${options.durability}; logs and journals in ${folder}`,
  );
  let stack: Stack | undefined;
  let outcome: Outcome | undefined;
  try {
    stack = await openStack(folder, topology, database);
    const torture = new Torture(options, stack, say);
    outcome = await torture.run().finally(() => torture.stop());
  } catch (error) {
    process.stderr.write(`torture: ${(error as Error).message}; logs and journals are in ${folder}\n`);
    return 1;
  } finally {
    await stack?.stop();
    for (const name of ['redis', 'mysql', ...[0, 1, 2].map(index => `mysql/member${index}`)])
      rmSync(join(folder, name, 'data'), { recursive: true, force: true });
  }
  const failed = isFailure(outcome);
  if (failed) explain(outcome, folder);
  else rmSync(folder, { recursive: true, force: true });
  if (options.report) writeReport(options.report, outcome);
  say(JSON.stringify(jsonOf(outcome)));
  return failed ? 1 : 0;
}

function explain({ verdict, problems }: Outcome, folder: string): void {
  for (const problem of problems.slice(0, shownDifferences)) say(`PROBLEM: ${problem}`);
  const lines = verdict.differences.map(
    ({ kind, updates, partition, what }) => `${kind} ${updates} in partition ${partition}: ${what}`,
  );
  writeFileSync(join(folder, 'differences.txt'), lines.map(line => `${line}\n`).join(''));
  for (const line of lines.slice(0, shownDifferences)) say(line);
  if (lines.length > shownDifferences) say(`... and ${lines.length - shownDifferences} more`);
  say(
    `Sluice declared at most ${verdict.declarations} updates; journals, logs and all differences are in ${folder}`,
  );
}

let options: TortureOptions;
try {
  options = parseOptions(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`torture: ${error.message}\n`);
  process.exit(2);
}
if (options.help) {
  process.stdout.write(usage);
  process.exit(0);
}
process.exit(await main(options));
