// `npm run bench`: runs every scenario in interleaved rounds and keeps the medians with what they depend on.
// Never a test of speed; it fails only where a measurement lost or doubled an update.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BenchOptions, parseOptions, UsageError, usage } from './options.ts';
import { ratio, summarise, tableOf } from './report.ts';
import { Rig } from './rig.ts';
import type { Load, Measurement, Scenario } from './scenario.ts';
import { ratios, scenarios } from './scenarios/index.ts';

const results = fileURLToPath(new URL('./results/', import.meta.url));
const say = (text: string) => process.stderr.write(`${text}\n`);

async function runRounds(rig: Rig, chosen: readonly Scenario[], options: BenchOptions) {
  const { rounds, seconds, updates } = options;
  const load: Load = { seconds, updates, warmUpSeconds: Math.min(2, seconds / 2) };
  const measured = new Map<string, Measurement[]>(chosen.map(scenario => [scenario.name, []]));
  // Interleaved: a machine that slows down for a minute slows all of them down.
  for (let round = 1; round <= rounds; round++) {
    const thisRound = new Map<string, Measurement>();
    for (const scenario of chosen) {
      const measurement = await scenario.run(rig, load, thisRound);
      thisRound.set(scenario.name, measurement);
      measured.get(scenario.name)!.push(measurement);
      const { perSecond, difference } = measurement;
      const rate = Math.round(perSecond).toLocaleString('en-US').padStart(9);
      say(`round ${round} of ${rounds}  ${rate} ${scenario.unit.padEnd(10)} ${scenario.title}`);
      if (difference !== 0)
        throw new Error(`${scenario.name}: MySQL differs by ${difference} from what was sent`);
    }
  }
  return { load, summaries: chosen.map(scenario => summarise(scenario, measured.get(scenario.name)!)) };
}

async function bench(options: BenchOptions): Promise<void> {
  const profile = options.profile === undefined ? undefined : resolve(options.profile);
  if (profile) mkdirSync(profile, { recursive: true });
  const rig = await Rig.start(profile);
  for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143 })) {
    process.once(signal, () => process.exit(code));
  }
  try {
    const description = rig.describe();
    const chosen = scenarios.filter(({ name }) => options.only.length === 0 || options.only.includes(name));
    const { load, summaries } = await runRounds(rig, chosen, options);
    const quotients = ratios.flatMap(pair => ratio(pair, summaries) ?? []);
    const date = new Date().toISOString();
    const result = {
      date,
      ...description,
      rounds: options.rounds,
      load,
      scenarios: summaries,
      ratios: quotients,
    };
    const json = `${JSON.stringify(result, null, 2)}\n`;
    if (options.save) {
      mkdirSync(results, { recursive: true });
      const file = join(results, `${date.slice(0, 16).replace(/[T:]/g, '-')}.json`);
      writeFileSync(file, json);
      say(`written to ${file}`);
    }
    process.stdout.write(options.json ? json : `\n${tableOf(summaries, quotients)}\n`);
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
