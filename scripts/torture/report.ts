/** The result of a torture: the last line for programs, and a section of a Markdown file for people. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { Verdict } from './checker.ts';
import type { TortureOptions } from './options.ts';

/** Seconds until flushing worked again, by kind of fault. */
export type Recoveries = Map<string, number[]>;

export interface Outcome {
  readonly options: TortureOptions;
  /** The commit of the code that ran. */
  readonly commit: string;
  /** Names and versions. */
  readonly servers: { redis: string; database: string };
  readonly minutes: number;
  readonly recoveries: Recoveries;
  readonly verdict: Verdict;
  readonly acknowledgedOverHttp: number;
  /** Other problems. */
  readonly problems: string[];
}

/** Kinds after which flushing is promised to work again within so many seconds. */
export const promised: ReadonlySet<string> = new Set([
  'workerKill',
  'allWorkersKill',
  'workerStop',
  'sentinelFailover',
  'clusterFailover',
  'redisStop',
  'databaseRestart',
  'primaryKill',
  'primaryStop',
  'primaryCut',
  'databaseReadLock',
  'passwordChanged',
  'clockAhead',
  'clockBehind',
  'clockStep',
  'logBlocked',
  'columnRenamed',
]);
export const promisedSeconds = 5;

export function isFailure({ verdict, problems }: Outcome): boolean {
  return verdict.lost > 0 || verdict.doubled > 0 || problems.length > 0;
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}

function figuresOf(seconds: number[]) {
  const sorted = seconds.toSorted((a, b) => a - b);
  return { p50: round(sorted[Math.floor((sorted.length - 1) / 2)] ?? 0), max: round(sorted.at(-1) ?? 0) };
}

export function jsonOf({ recoveries, verdict, acknowledgedOverHttp }: Outcome) {
  const kinds = [...recoveries].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return {
    faults: Object.fromEntries(kinds.map(([kind, seconds]) => [kind, seconds.length])),
    acknowledged: verdict.acknowledged,
    acknowledgedOverHttp,
    lost: verdict.lost,
    doubled: verdict.doubled,
    declared: verdict.declared,
    recoverySeconds: Object.fromEntries(kinds.map(([kind, seconds]) => [kind, figuresOf(seconds)])),
  };
}

const introduction = `# Torture: what was run and what came of it

Written by \`npm run torture -- --report\`; one section for each pair of servers, from its last run of all kinds of faults, and
one for each later run of some kinds only, which its heading names. What the columns mean stands in [torture.md](torture.md). Recovery is
measured on a machine with two cores that runs servers, processes and the torture itself.
`;

function sectionOf(outcome: Outcome): string {
  const { options, servers, minutes, verdict, problems } = outcome;
  const { faults, recoverySeconds } = jsonOf(outcome);
  const count = Object.values(faults).reduce((sum, number) => sum + number, 0);
  const rows = Object.entries(recoverySeconds).map(([kind, { p50, max }]) => {
    const remark = promised.has(kind) && max > promisedSeconds ? ` (promised: ${promisedSeconds})` : '';
    return `| ${kind} | ${faults[kind]} | ${p50.toFixed(2)} | ${max.toFixed(2)}${remark} |`;
  });
  const number = (value: number) => value.toLocaleString('en-US');
  return [
    headingOf(options),
    '',
    `${count} faults in ${minutes.toFixed(1)} minutes, seed ${options.seed}, commit ${outcome.commit}, on ${servers.redis} and ${servers.database}, durability ${options.durability}.`,
    '',
    '| acknowledged | refused | unknown | lost | doubled | declared |',
    '| --: | --: | --: | --: | --: | --: |',
    `| ${[verdict.acknowledged, verdict.refused, verdict.unknown, verdict.lost, verdict.doubled, verdict.declared].map(number).join(' | ')} |`,
    '',
    '| fault | times | flushing again, p50 s | max s |',
    '| --- | --: | --: | --: |',
    ...rows,
    ...(problems.length > 0
      ? ['', `${problems.length} problems:`, '', ...problems.map(text => `- ${text}`)]
      : []),
    '',
  ].join('\n');
}

function headingOf({ topology, database, kinds }: TortureOptions): string {
  const only = kinds ? `: ${[...kinds].sort().join(', ')}` : '';
  return `## ${topology}, ${database}${only}`;
}

/**
 * Writes the section into the file and replaces the one with the same heading. A run of all kinds also
 * replaces runs of some kinds on the same servers.
 */
export function writeReport(file: string, outcome: Outcome): void {
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const sections = text.split(/^(?=## )/m).filter(section => section.startsWith('## '));
  const heading = headingOf(outcome.options);
  const others = sections.filter(section => {
    const [first] = section.split('\n');
    return first !== heading && !first!.startsWith(`${heading}:`);
  });
  const all = [...others.map(section => section.trim()), sectionOf(outcome).trim()].toSorted();
  writeFileSync(file, `${[introduction.trim(), ...all].join('\n\n')}\n`);
}

/** Recoveries of a report by kind, for docs/guarantees.md: median of the runs' medians, and the longest. */
function recoveriesOf(report: string): Map<string, string> {
  const found = new Map<string, { medians: number[]; longest: number }>();
  for (const [, kind, p50, max] of report.matchAll(/^\| (\w+) \| \d+ \| ([\d.]+) \| ([\d.]+)/gm)) {
    const known = found.get(kind!) ?? { medians: [], longest: 0 };
    found.set(kind!, known);
    known.medians.push(Number(p50));
    known.longest = Math.max(known.longest, Number(max));
  }
  return new Map(
    [...found].map(([kind, { medians, longest }]) => [
      kind,
      `${figuresOf(medians).p50.toFixed(1)} / ${longest.toFixed(1)}`,
    ]),
  );
}

/** docs/guarantees.md with the report's recoveries; a dash for a kind that the report lacks. */
export function guaranteesPage(page: string, report: string): string {
  const recoveries = recoveriesOf(report);
  return page.replace(
    /^(\| `(\w+)` \| .* \| ).*( \| `test\/.*` \|)$/gm,
    (_, before: string, kind: string, after: string) => `${before}${recoveries.get(kind) ?? '-'}${after}`,
  );
}
