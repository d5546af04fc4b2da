// `npm run bench`: runs every scenario in interleaved rounds and records the medians with their conditions. It
// never tests speed against a target: it fails if a measurement lost or doubled an update, and with --compare
// if this build takes more CPU than the old one.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { comparisonTable, runComparison } from './compare.ts';
import { type BenchOptions, parseOptions, usage } from './options.ts';
import { profilePage } from './profile.ts';
import { summarise, summariseFigure, tableOf } from './report.ts';
import { Rig } from './rig.ts';
import { runRounds, say } from './rounds.ts';
import type { Load, Scenario, Suite } from './scenario.ts';
import { suites } from './scenarios/index.ts';
import { UsageError } from './usage-error.ts';

const results = fileURLToPath(new URL('./results/', import.meta.url));

const loadOf = ({ seconds, updates }: BenchOptions): Load => ({
  ...{ seconds, updates },
  warmUpSeconds: Math.min(2, seconds / 2),
});

function chosenFrom(suite: Suite, { only }: BenchOptions): Scenario[] {
  return suite.scenarios.filter(({ name }) => only.length === 0 || only.includes(name));
}

async function withRig<T>(options: BenchOptions, use: (rig: Rig) => Promise<T>): Promise<T> {
  const profileFolder = options.profile === undefined ? undefined : resolve(options.profile);
  if (profileFolder) mkdirSync(profileFolder, { recursive: true });
  const rig = await Rig.start({
    profileFolder,
    settings: options.settings,
    databaseDelay: options.databaseDelay,
  });
  for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143 })) {
    process.once(signal, () => process.exit(code));
  }
  try {
    return await use(rig);
  } finally {
    await rig.stop();
  }
}

/** What every result begins with. */
function conditions(options: BenchOptions, rig: Rig) {
  const { note, suite, rounds } = options;
  const date = new Date().toISOString();
  return {
    date,
    ...(note === undefined ? {} : { note }),
    suite,
    ...rig.describe(),
    rounds,
    load: loadOf(options),
  };
}

async function bench(options: BenchOptions, rig: Rig): Promise<void> {
  const suite: Suite = suites[options.suite];
  const chosen = chosenFrom(suite, options);
  const beginning = conditions(options, rig);
  const measured = await runRounds(rig, chosen, beginning.load, options.rounds);
  const summaries = chosen.map(scenario =>
    summarise(
      scenario,
      measured.flatMap(round => round.get(scenario.name) ?? []),
    ),
  );
  const figures = suite.figures.flatMap(figure => summariseFigure(figure, measured) ?? []);
  const json = `${JSON.stringify({ ...beginning, figures, scenarios: summaries }, null, 2)}\n`;
  if (options.save) {
    mkdirSync(results, { recursive: true });
    const suffix = options.suite === 'main' ? '' : `-${options.suite}`;
    const file = join(results, `${beginning.date.slice(0, 16).replace(/[T:]/g, '-')}${suffix}.json`);
    writeFileSync(file, json);
    say(`written to ${file}`);
  }
  if (rig.profileFolder) {
    const page = join(rig.profileFolder, 'profile.md');
    writeFileSync(page, profilePage(rig.profileFolder));
    say(`profiles: ${page}`);
  }
  process.stdout.write(options.json ? json : `\n${tableOf(summaries, figures)}\n`);
}

/** Resolves with whether no process got more expensive. */
async function compare(version: string, options: BenchOptions, rig: Rig): Promise<boolean> {
  const { rounds } = options;
  const asked = chosenFrom(suites[options.suite], options);
  const chosen = asked.filter(({ comparable }) => comparable);
  const leftOut = asked.filter(one => !chosen.includes(one)).map(({ name }) => name);
  if (leftOut.length > 0) say(`left out, since they do not measure the builds: ${leftOut.join(', ')}`);
  if (chosen.length === 0) throw new UsageError('none of these scenarios measures the builds');
  const beginning = conditions(options, rig);
  const found = await runComparison(rig, chosen, beginning.load, { version, rounds });
  const result = { ...beginning, compared: version, ...found };
  process.stdout.write(
    options.json ? `${JSON.stringify(result, null, 2)}\n` : `\n${comparisonTable(found, rounds)}\n`,
  );
  return !found.comparisons.some(({ worse }) => worse);
}

try {
  const options = parseOptions(process.argv.slice(2));
  const { compare: version } = options;
  let isFine = true;
  if (options.help) process.stdout.write(usage);
  else if (version === undefined) await withRig(options, rig => bench(options, rig));
  else isFine = await withRig(options, rig => compare(version, options, rig));
  process.exit(isFine ? 0 : 1);
} catch (error) {
  say(`bench: ${(error as Error).message}`);
  process.exit(error instanceof UsageError ? 2 : 1);
}
