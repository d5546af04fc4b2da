// `npm run bench`: runs every scenario in interleaved rounds and records the medians with their conditions.
// It never tests speed; it fails only if a measurement lost or doubled an update.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BenchOptions, parseOptions, UsageError, usage } from './options.ts';
import { profilePage } from './profile.ts';
import { summarise, summariseFigure, tableOf } from './report.ts';
import { Rig } from './rig.ts';
import type { Load, Measurement, Round, Scenario, Suite } from './scenario.ts';
import { suites } from './scenarios/index.ts';

const results = fileURLToPath(new URL('./results/', import.meta.url));
const say = (text: string) => process.stderr.write(`${text}\n`);

async function runRounds(rig: Rig, chosen: readonly Scenario[], load: Load, rounds: number) {
  const measured: Round[] = [];
  // Interleaved, so that a machine that slows down for a minute slows all scenarios down.
  for (let number = 1; number <= rounds; number++) {
    const round = new Map<string, Measurement>();
    measured.push(round);
    for (const scenario of chosen) {
      if (scenario.once && number > 1) continue;
      rig.scenario = scenario.name;
      const measurement = await scenario.run(rig, load, round).catch(cause => {
        throw new Error(`${scenario.name}: ${(cause as Error).message}`, { cause });
      });
      round.set(scenario.name, measurement);
      const { value, difference } = measurement;
      const shown = value.toLocaleString('en-US', { maximumFractionDigits: value < 100 ? 2 : 0 });
      say(`round ${number} of ${rounds}  ${shown.padStart(9)} ${scenario.unit.padEnd(10)} ${scenario.title}`);
      if (difference !== 0)
        throw new Error(`${scenario.name}: the stored sums differ by ${difference} from those sent`);
    }
  }
  return measured;
}

async function bench(options: BenchOptions): Promise<void> {
  const profile = options.profile === undefined ? undefined : resolve(options.profile);
  if (profile) mkdirSync(profile, { recursive: true });
  const suite: Suite = suites[options.suite];
  const { rounds, seconds, updates } = options;
  const load: Load = { seconds, updates, warmUpSeconds: Math.min(2, seconds / 2) };
  const chosen = suite.scenarios.filter(
    ({ name }) => options.only.length === 0 || options.only.includes(name),
  );
  const rig = await Rig.start(profile);
  for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143 })) {
    process.once(signal, () => process.exit(code));
  }
  try {
    const description = rig.describe();
    const measured = await runRounds(rig, chosen, load, rounds);
    const summaries = chosen.map(scenario =>
      summarise(
        scenario,
        measured.flatMap(round => round.get(scenario.name) ?? []),
      ),
    );
    const figures = suite.figures.flatMap(figure => summariseFigure(figure, measured) ?? []);
    const date = new Date().toISOString();
    const { note } = options;
    const result = {
      ...{ date, ...(note === undefined ? {} : { note }), suite: options.suite, ...description },
      ...{ rounds, load, figures, scenarios: summaries },
    };
    const json = `${JSON.stringify(result, null, 2)}\n`;
    if (options.save) {
      mkdirSync(results, { recursive: true });
      const suffix = options.suite === 'main' ? '' : `-${options.suite}`;
      const file = join(results, `${date.slice(0, 16).replace(/[T:]/g, '-')}${suffix}.json`);
      writeFileSync(file, json);
      say(`written to ${file}`);
    }
    if (profile) {
      const page = join(profile, 'profile.md');
      writeFileSync(page, profilePage(profile));
      say(`profiles: ${page}`);
    }
    process.stdout.write(options.json ? json : `\n${tableOf(summaries, figures)}\n`);
  } finally {
    await rig.stop();
  }
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) process.stdout.write(usage);
  else await bench(options);
  process.exit(0);
} catch (error) {
  say(`bench: ${(error as Error).message}`);
  process.exit(error instanceof UsageError ? 2 : 1);
}
