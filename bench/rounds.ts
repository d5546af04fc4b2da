// Runs scenarios on the rig, one measurement at a time, and shows each as soon as it is there.

import type { Rig } from './rig.ts';
import type { Load, Measurement, Round, Scenario } from './scenario.ts';

export const say = (text: string) => process.stderr.write(`${text}\n`);

/**
 * One measurement, which is shown after the label.
 * @throws if the scenario fails, or if it lost or doubled an update
 */
export async function measure(
  rig: Rig,
  scenario: Scenario,
  load: Load,
  round: Round,
  label: string,
): Promise<Measurement> {
  rig.scenario = scenario.name;
  const measurement = await scenario.run(rig, load, round).catch(cause => {
    throw new Error(`${scenario.name}, ${label}: ${(cause as Error).message}`, { cause });
  });
  const { value, difference } = measurement;
  const shown = value.toLocaleString('en-US', { maximumFractionDigits: value < 100 ? 2 : 0 });
  say(`${label}  ${shown.padStart(9)} ${scenario.unit.padEnd(10)} ${scenario.title}`);
  if (difference !== 0)
    throw new Error(`${scenario.name}, ${label}: the stored sums differ by ${difference} from those sent`);
  return measurement;
}

export async function runRounds(
  rig: Rig,
  chosen: readonly Scenario[],
  load: Load,
  rounds: number,
): Promise<Round[]> {
  const measured: Round[] = [];
  // Interleaved, so that a machine that slows down for a minute slows all scenarios down.
  for (let number = 1; number <= rounds; number++) {
    const round = new Map<string, Measurement>();
    measured.push(round);
    for (const scenario of chosen) {
      if (scenario.once && number > 1) continue;
      round.set(scenario.name, await measure(rig, scenario, load, round, `round ${number} of ${rounds}`));
    }
  }
  return measured;
}
