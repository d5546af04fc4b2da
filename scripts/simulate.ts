/**
 * Runs schedules of the simulation and prints the trace of the first that fails; see `npm run simulate --
 * --help`. A seed always gives the same schedule: `--seed S --schedules 1 --trace` prints it.
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import { BUGS, type Bug } from '../test/simulation/bugs.ts';
import { RANK_BUGS, type RankBug } from '../test/simulation/ranks/bugs.ts';
import { runSchedule } from '../test/simulation/schedule.ts';

function whole(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0) throw new InvalidArgumentError('Not a whole number.');
  return number;
}

const program = new Command('simulate')
  .description('Runs the protocol against modelled servers, broken in every way that a seed can think of.')
  .option('--seed <number>', 'first seed', whole, 1)
  .option('--schedules <number>', 'how many schedules; each has the next seed', whole, 1)
  .option('--trace', 'print every step even if nothing is wrong')
  .option('--ranks', 'schedules in which a name has a board of ranks')
  .addOption(
    new Option('--bug <name>', 'reintroduce a bug').choices([
      ...Object.keys(BUGS),
      ...Object.keys(RANK_BUGS),
    ]),
  )
  .parse();
interface Flags {
  seed: number;
  schedules: number;
  trace?: boolean;
  ranks?: boolean;
  bug?: Bug | RankBug;
}
const options = program.opts<Flags>();
const bugs = options.bug ? { [options.bug]: true } : {};
const isOfRanks = options.ranks || (options.bug !== undefined && options.bug in RANK_BUGS);
const what = isOfRanks ? { ranked: bugs } : { bugs };

const started = performance.now();
for (let at = 0; at < options.schedules; at++) {
  const seed = options.seed + at;
  const trace = options.trace ? (line: string) => console.log(line) : undefined;
  const wrong = runSchedule(seed, trace ? { ...what, trace } : what);
  if (!wrong) continue;
  // Runs the same seed again with its trace; the schedule is the same to the last step.
  if (!trace) runSchedule(seed, { ...what, trace: line => console.log(line) });
  console.log(`seed ${seed}: ${wrong}`);
  process.exit(1);
}
const seconds = (performance.now() - started) / 1000;
const rate = Math.round(options.schedules / seconds);
console.log(`${options.schedules} schedules from seed ${options.seed}, nothing wrong, ${rate} a second`);
