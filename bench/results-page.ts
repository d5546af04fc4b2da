// The newest results as tables: every figure with its target, and every measurement.

import { readdirSync, readFileSync } from 'node:fs';
import { coresTaken, cpuOfUpdate, type FigureSummary, type Summary, shown, verdictOf } from './report.ts';

interface Result {
  readonly file: string;
  readonly suite?: string;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly loadAverage: readonly number[] };
  readonly rounds: number;
  readonly figures?: readonly FigureSummary[];
  readonly scenarios: readonly Summary[];
}

const folder = new URL('./results/', import.meta.url);
/** In the order of the page. */
const SUITES = ['main', 'backlog', 'soak', 'scale', 'http'];

/** The newest result of each suite. Older files have no suites. */
function newest(): Result[] {
  const results: Result[] = readdirSync(folder)
    .filter(file => file.endsWith('.json'))
    .toSorted()
    .map(file => ({ file, ...JSON.parse(readFileSync(new URL(file, folder), 'utf8')) }));
  return SUITES.flatMap(suite => results.findLast(result => result.suite === suite) ?? []);
}

const spread = ({ median, min, max, unit }: FigureSummary | Summary) =>
  `${shown(median)} ${unit}${min === max ? '' : ` (${shown(min)} to ${shown(max)})`}`;
const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;

export function resultsTables(): string {
  const results = newest();
  const sources = results.map(({ suite, file, machine, rounds }) => {
    const { cpu, cores, loadAverage } = machine;
    const times = rounds === 1 ? 'one round' : `medians of ${rounds} rounds`;
    return `- ${suite}: [${file}](results/${file}), ${times}, ${cores} cores of ${cpu}, load average at the start ${loadAverage[0]}`;
  });
  const figures = results.flatMap(result => result.figures ?? []);
  const verdicts = figures.map(figure => line([figure.title, spread(figure), verdictOf(figure)]));
  const measured = results
    .flatMap(result => result.scenarios)
    .map(scenario => {
      const { name, details: found } = scenario;
      return line([`\`${name}\``, spread(scenario), coresTaken(found), cpuOfUpdate(found)]);
    });
  return [
    ...sources,
    '',
    ...[line(['figure', 'measured', 'target']), line(['---', '---', '---']), ...verdicts],
    '',
    line(['scenario', 'measured', 'cores taken', 'CPU of an update, µs']),
    ...[line(['---', '---', '---', '---']), ...measured],
  ].join('\n');
}

/** The README's text about the newest results. */
export function speedText(): string {
  const results = newest();
  const figure = (name: string) => {
    const found = results.flatMap(result => result.figures ?? []).find(one => one.name === name);
    if (!found) throw new Error(`no result has the figure ${name}`);
    return found.median;
  };
  const rounded = (name: string) => Number(figure(name).toPrecision(2)).toLocaleString('en-US');
  return [
    'On two cores that producer, Redis, worker and MySQL share, MySQL durable, Redis with an append-only file synced every second:',
    '',
    `- ${rounded('counters')} updates a second end to end, Zipf over 100,000 keys: ${rounded('counters-against-upsert-per-update')} times one upsert for each update, ${rounded('counters-against-bullmq-jobs')} times one BullMQ job for each;`,
    `- ${rounded('single-calls')} single \`increment()\` calls a second from one process, ${rounded('points')} ledger entries a second;`,
    `- at 30,000 updates a second, ${rounded('flush-lag-p99')} ms until MySQL has them, for 99 of 100;`,
    `- 5,000,000 updates over 1,000,000 keys after an outage: written in ${rounded('backlog-seconds')} seconds by one worker of about ${rounded('backlog-worker-peak')} MB.`,
  ].join('\n');
}
