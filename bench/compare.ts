// `npm run bench -- --compare`: an old build and this one in turns on the same servers. A machine that is slow
// for a while slows both down, and the order changes each time, so that neither always comes second.

import { join } from 'node:path';
import { Build } from './build.ts';
import { median, shown } from './report.ts';
import type { Rig } from './rig.ts';
import { measure } from './rounds.ts';
import type { Load, Measurement, Scenario } from './scenario.ts';

/** A change that costs a process more CPU than this, as new by old, fails the comparison. */
const LIMIT = 1.1;
/** Largest chance that a change which costs nothing is called worse in so many turns. */
const CHANCE = 0.05;

export interface Turn {
  old: Measurement;
  new: Measurement;
}

/** One number of a scenario; medians over the turns. */
export interface Comparison {
  scenario: string;
  what: string;
  unit: string;
  old: number;
  new: number;
  /** New by old: the median of the turns' ratios, and their spread. */
  ratio: number;
  min: number;
  max: number;
  /** Only of CPU. */
  worse?: boolean;
}

const details: readonly { key: string; what: string; unit: string }[] = [
  { key: 'acknowledgedPerSecond', what: 'answers', unit: '/s' },
  { key: 'callP50Ms', what: 'call p50', unit: 'ms' },
  { key: 'callP99Ms', what: 'call p99', unit: 'ms' },
  { key: 'flushLagP50Ms', what: 'flush lag p50', unit: 'ms' },
  { key: 'flushLagP99Ms', what: 'flush lag p99', unit: 'ms' },
  ...['producer', 'worker', 'redis', 'mysql'].map(name => ({
    key: `${name}CpuMicrosPerUpdate`,
    what: `CPU of an update, ${name}`,
    unit: 'µs',
  })),
];

/** How many turns may go the other way, by a sign test. Below 0 if they are too few for any verdict. */
function mayDiffer(turns: number): number {
  let [chance, probability, allowed] = [0, 0.5 ** turns, -1];
  for (let differing = 0; differing <= turns; differing++) {
    chance += probability;
    if (chance > CHANCE) break;
    allowed = differing;
    probability *= (turns - differing) / (differing + 1);
  }
  return allowed;
}

/**
 * Whether the median is above the limit, and nearly every turn says that the new build is worse: all of five
 * to seven, all but one of eight to ten, and so on. Fewer than five decide nothing.
 */
export function isWorse(ratios: readonly number[]): boolean {
  const others = ratios.filter(ratio => !(ratio > 1)).length;
  return median(ratios) > LIMIT && others <= mayDiffer(ratios.length);
}

export function compareTurns({ name, unit }: Scenario, turns: readonly Turn[]): Comparison[] {
  const one = (what: string, unit: string, of: (measurement: Measurement) => number | undefined) => {
    const pairs = turns.map(turn => [of(turn.old), of(turn.new)] as const);
    // The scenario may have no such number, or one that is too small to be measured.
    if (!pairs.every(([before, after]) => before && after)) return [];
    const [before, after] = [pairs.map(pair => pair[0]!), pairs.map(pair => pair[1]!)];
    const ratios = pairs.map(pair => pair[1]! / pair[0]!);
    return {
      ...{ scenario: name, what, unit, old: median(before), new: median(after) },
      ...{ ratio: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) },
      ...(what.startsWith('CPU') ? { worse: isWorse(ratios) } : {}),
    };
  };
  return [
    one('result', unit, ({ value }) => value),
    ...details.map(({ key, what, unit }) => one(what, unit, measurement => measurement.details[key])),
  ].flat();
}

export interface Versions {
  /** Git revision or folder. */
  version: string;
  rounds: number;
}

export interface Found {
  comparisons: Comparison[];
  /** Settings with different values in the two builds, as old and new. */
  differentSettings: Record<string, readonly [number | undefined, number | undefined]>;
  /** By scenario. */
  turns: Record<string, Turn[]>;
}

/** Defaults may differ, which can explain a difference. */
export function differing(
  before: Record<string, number>,
  after: Record<string, number>,
): Found['differentSettings'] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return Object.fromEntries(
    [...names].filter(name => before[name] !== after[name]).map(name => [name, [before[name], after[name]]]),
  );
}

/** Measures each scenario with both builds in each round. @throws UsageError */
export async function runComparison(
  rig: Rig,
  chosen: readonly Scenario[],
  load: Load,
  { version, rounds }: Versions,
): Promise<Found> {
  const builds = { old: await Build.other(version, join(rig.folder, 'old')), new: rig.build };
  const turns: Record<string, Turn[]> = Object.fromEntries(chosen.map(({ name }) => [name, []]));
  for (let number = 1; number <= rounds; number++) {
    for (const scenario of chosen) {
      const turn: Partial<Turn> = {};
      for (const name of number % 2 === 1 ? (['old', 'new'] as const) : (['new', 'old'] as const)) {
        rig.build = builds[name];
        const label = `round ${number} of ${rounds}, ${name}`;
        turn[name] = await measure(rig, scenario, load, new Map(), label);
      }
      turns[scenario.name]!.push(turn as Turn);
    }
  }
  rig.build = builds.new;
  const comparisons = chosen.flatMap(one => compareTurns(one, turns[one.name]!));
  const differentSettings = differing(builds.old.settings(rig.settings), builds.new.settings(rig.settings));
  return { comparisons, differentSettings, turns };
}

export function comparisonTable(
  { comparisons, differentSettings }: Omit<Found, 'turns'>,
  rounds: number,
): string {
  const lines = Object.entries(differentSettings).map(
    ([name, [before, after]]) =>
      `  ${name}: ${before ?? 'none'} in the old build, ${after ?? 'none'} in the new`,
  );
  const digits = (ratio: number) => ratio.toFixed(2);
  for (const [at, one] of comparisons.entries()) {
    if (one.scenario !== comparisons[at - 1]?.scenario) lines.push('', one.scenario);
    const cells = [
      `  ${`${one.what}, ${one.unit}`.padEnd(34)}`,
      ...[one.old, one.new].map(value => shown(value).padStart(10)),
      `${digits(one.ratio).padStart(7)}  (${digits(one.min)} to ${digits(one.max)})`,
      one.worse ? ' WORSE' : '',
    ];
    lines.push(cells.join('').trimEnd());
  }
  const head = `  ${''.padEnd(34)}${'old'.padStart(10)}${'new'.padStart(10)}    new by old, median of ${rounds} turns (spread)`;
  const worse = comparisons.filter(one => one.worse).map(one => `${one.scenario}: ${one.what}`);
  const verdict =
    mayDiffer(rounds) < 0
      ? 'No verdict: it needs at least 5 rounds.'
      : worse.length === 0
        ? 'No process takes more than 10 % more CPU for an update, beyond the noise.'
        : `More than 10 % worse, beyond the noise: ${worse.join('; ')}.`;
  return [head, ...lines, '', verdict].join('\n');
}
