// From the rounds' measurements to what is printed and kept: medians, spread, ratios.
// The spread is shown beside each median: a difference smaller than that says nothing.

import type { Measurement, Scenario } from './scenario.ts';

export interface Summary {
  name: string;
  title: string;
  unit: string;
  target?: number;
  median: number;
  min: number;
  max: number;
  /** Medians, each for itself. */
  details: Record<string, number>;
  rounds: Measurement[];
}

export interface Ratio {
  name: string;
  of: string;
  to: string;
  /** Median of the rounds' quotients: what slows a whole round down cancels out. */
  median: number;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const rounded = (value: number) =>
  Math.abs(value) >= 100 ? Math.round(value) : Math.round(value * 100) / 100;

export function summarise(scenario: Scenario, rounds: Measurement[]): Summary {
  const rates = rounds.map(round => round.perSecond);
  const details: Record<string, number> = {};
  for (const name of Object.keys(rounds[0]?.details ?? {})) {
    details[name] = rounded(median(rounds.map(round => round.details[name] ?? 0)));
  }
  const { name, title, unit, target } = scenario;
  return {
    name,
    title,
    unit,
    ...(target === undefined ? {} : { target }),
    median: rounded(median(rates)),
    min: rounded(Math.min(...rates)),
    max: rounded(Math.max(...rates)),
    details,
    rounds: rounds.map(({ perSecond, ...rest }) => ({ ...rest, perSecond: rounded(perSecond) })),
  };
}

export function ratio([name, of, to]: readonly [string, string, string], summaries: readonly Summary[]) {
  const upper = summaries.find(summary => summary.name === of);
  const lower = summaries.find(summary => summary.name === to);
  if (!upper || !lower) return undefined;
  const quotients = upper.rounds.map((round, at) => round.perSecond / lower.rounds[at]!.perSecond);
  return { name, of, to, median: Math.round(median(quotients) * 100) / 100 } satisfies Ratio;
}

const count = (value: number) => Math.round(value).toLocaleString('en-US');

export function tableOf(summaries: readonly Summary[], ratios: readonly Ratio[]): string {
  const lines: string[] = [];
  for (const { title, unit, median, min, max, target, details } of summaries) {
    const goal =
      target === undefined
        ? ''
        : median >= target
          ? `  (over ${count(target)})`
          : `  (UNDER ${count(target)})`;
    lines.push(`${title}`);
    lines.push(`  ${count(median).padStart(10)} ${unit}, ${count(min)} to ${count(max)}${goal}`);
    const remarks = [
      details.callP99Ms !== undefined && `call p50 ${details.callP50Ms} ms, p99 ${details.callP99Ms} ms`,
      details.flushLagP99Ms && `flush lag p50 ${details.flushLagP50Ms} ms, p99 ${details.flushLagP99Ms} ms`,
      details.rows && details.updates && `${(details.updates / details.rows).toFixed(2)} updates a row`,
    ].filter(Boolean);
    if (remarks.length > 0) lines.push(`             ${remarks.join('; ')}`);
  }
  for (const { name, median } of ratios) lines.push(`${name}: ${median} times`);
  return lines.join('\n');
}
