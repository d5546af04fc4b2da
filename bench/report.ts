// Turns the measurements of all rounds into the output: medians, spread, figures, and whether targets are
// met. Each median has its spread beside it, since a smaller difference means nothing.

import type { Figure, Measurement, Round, Scenario, Target } from './scenario.ts';

export interface Summary {
  name: string;
  title: string;
  unit: string;
  median: number;
  min: number;
  max: number;
  /** Medians, each computed separately. */
  details: Record<string, number>;
  rounds: Measurement[];
}

export interface FigureSummary {
  name: string;
  title: string;
  unit: string;
  /** Median of the values per round: what slows a whole round down cancels out in a ratio. */
  median: number;
  min: number;
  max: number;
  target?: Target;
  met?: boolean;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const rounded = (value: number) =>
  Math.abs(value) >= 100 ? Math.round(value) : Math.round(value * 100) / 100;

const spread = (values: readonly number[]) => ({
  median: rounded(median(values)),
  min: rounded(Math.min(...values)),
  max: rounded(Math.max(...values)),
});

export function summarise({ name, title, unit }: Scenario, rounds: readonly Measurement[]): Summary {
  const details: Record<string, number> = {};
  for (const detail of new Set(rounds.flatMap(round => Object.keys(round.details)))) {
    details[detail] = rounded(median(rounds.map(round => round.details[detail] ?? 0)));
  }
  return {
    name,
    title,
    unit,
    ...spread(rounds.map(round => round.value)),
    details,
    rounds: rounds.map(round => ({ ...round, value: rounded(round.value) })),
  };
}

export function isMet(value: number, target: Target): boolean {
  return 'atLeast' in target ? value >= target.atLeast : value <= target.atMost;
}

/** Undefined if no round has all parts of the figure. */
export function summariseFigure(figure: Figure, rounds: readonly Round[]): FigureSummary | undefined {
  const values = rounds.flatMap(round => figure.of(round) ?? []);
  if (values.length === 0) return undefined;
  const { name, title, unit, target } = figure;
  // The verdict compares the exact median, not its rounded value.
  const verdict = target === undefined ? {} : { target, met: isMet(median(values), target) };
  return { name, title, unit, ...spread(values), ...verdict };
}

export const shown = (value: number) =>
  value.toLocaleString('en-US', { maximumFractionDigits: Math.abs(value) >= 100 ? 0 : 2 });

export function verdictOf({ median, target, met }: FigureSummary): string {
  if (target === undefined) return '';
  const [bound, limit] = 'atLeast' in target ? ['at least', target.atLeast] : ['at most', target.atMost];
  const verdict = met ? 'met' : `missed: ${shown(median)} of ${shown(limit)}`;
  return `${bound} ${shown(limit)}: ${verdict}`;
}

const percentiles = (details: Record<string, number>, what: string, name: string) =>
  details[`${name}P99Ms`] &&
  `${what} p50 ${shown(details[`${name}P50Ms`] ?? 0)} ms, p99 ${shown(details[`${name}P99Ms`]!)} ms`;

function ofEachProcess(details: Record<string, number>, figure: string): string {
  const parts = ['peer', 'producer', 'worker', 'redis', 'mysql'].flatMap(name => {
    const taken = details[`${name}${figure}`];
    return taken === undefined ? [] : `${name} ${taken.toFixed(2)}`;
  });
  return parts.join(', ');
}

/** How the machine's cores were used, which shows what limits a rate. */
export const coresTaken = (details: Record<string, number>) => ofEachProcess(details, 'Cores');

/** Microseconds of CPU, which other work on the machine changes less than a rate. */
export const cpuOfUpdate = (details: Record<string, number>) => ofEachProcess(details, 'CpuMicrosPerUpdate');

function scenarioLines({ title, unit, median, min, max, details }: Summary): string[] {
  const [cores, cpu] = [coresTaken(details), cpuOfUpdate(details)];
  const remarks = [
    percentiles(details, 'call', 'call'),
    percentiles(details, 'flush lag', 'flushLag'),
    details.rows && details.updates && `${shown(details.updates / details.rows)} updates a row`,
    details.connections && `${details.connections} connections`,
    details.concurrency && `concurrency ${details.concurrency}`,
    cores && `cores: ${cores}`,
  ].filter(Boolean);
  return [
    title,
    `  ${shown(median).padStart(10)} ${unit}, ${shown(min)} to ${shown(max)}`,
    ...(remarks.length > 0 ? [`             ${remarks.join('; ')}`] : []),
    ...(cpu ? [`             CPU of an update, µs: ${cpu}`] : []),
  ];
}

export function tableOf(summaries: readonly Summary[], figures: readonly FigureSummary[]): string {
  const width = Math.max(0, ...figures.map(figure => figure.title.length));
  const rows = figures.map(figure => {
    const value = `${shown(figure.median).padStart(10)} ${figure.unit.padEnd(10)}`;
    return `${figure.title.padEnd(width)}  ${value}  ${verdictOf(figure)}`.trimEnd();
  });
  return [...summaries.flatMap(scenarioLines), ...(rows.length > 0 ? ['', ...rows] : [])].join('\n');
}
