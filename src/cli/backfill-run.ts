/** Carries out `sluice backfill`: checks, progress bar, report. */
import { SingleBar } from 'cli-progress';
import { type CheckParts, checkRows, type Found } from '../backfill/check.ts';
import { Copy } from '../backfill/copy.ts';
import { Remembered } from '../backfill/remembered.ts';
import { type Counts, checkSpec, NOTHING, OwnedRun, type Run, readRun } from '../backfill/runs.ts';
import { Sender } from '../backfill/send.ts';
import { checkSource, type Source } from '../backfill/source.ts';
import { checkRun, type Spec, type SpecOptions, specOf } from '../backfill/spec.ts';
import { Openings } from '../producer/openings.ts';
import { checkRate } from '../replay/pace.ts';
import { ConfigurationError } from '../shared/errors.ts';
import { type Connections, withConnections } from './connections.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { operatorName } from './operator.ts';
import { onFirstStopSignal } from './signals.ts';
import { timeLeft } from './time-left.ts';

interface Flags extends SpecOptions {
  readonly dryRun?: boolean;
  readonly rate?: string;
  readonly page: string;
  readonly lag: string;
  readonly patience: string;
  readonly skipUnusable?: boolean;
  readonly unproven?: string;
  readonly again?: boolean;
  readonly operator?: string;
  readonly json?: boolean;
}

/** The numbers of the flags, and what they may be. */
interface Numbers {
  readonly rate: number | undefined;
  readonly page: number;
  readonly lagMs: number;
  readonly patienceMs: number;
}

export async function runBackfill(name: string, flags: Flags): Promise<ExitCode> {
  const run = checkRun(name);
  const numbers = numbersOf(flags);
  const { unproven } = flags;
  if (unproven !== undefined && unproven !== 'discard' && unproven !== 'apply')
    throw new ConfigurationError('--unproven must be discard or apply.');
  if (flags.mark !== undefined && flags.skipUnusable)
    throw new ConfigurationError(
      '--skip-unusable cannot be combined with --mark, which would say of these rows that they are in Sluice; leave them out by --where.',
    );
  const operator = operatorName(flags.operator);
  return withConnections(
    async open => {
      const spec = specOf(flags, open.definitions);
      const source = await open.database.session(connection =>
        checkSource(connection, spec, open.definitions),
      );
      const check = { database: open.database, definitions: open.definitions, run, spec, source };
      if (flags.dryRun) return dryRun(check, numbers, flags);
      await checkSpec(open.database, run, spec, flags.again === true);
      const bar = new Bar();
      const stopping = new AbortController();
      onFirstStopSignal(() => stopping.abort());
      try {
        const before = await readRun(open.database, run);
        const found = before
          ? before.counts
          : await countsToFind(check, numbers, flags, bar, stopping.signal);
        if (!found) return stopped(run, flags, undefined);
        return await copy(open, {
          run,
          spec,
          source,
          operator,
          found,
          numbers,
          flags,
          bar,
          signal: stopping.signal,
        });
      } finally {
        bar.stop();
      }
    },
    { looks: flags.dryRun === true, silenceMs: Math.max(10_000, numbers.patienceMs) },
  );
}

interface CopyRequest {
  readonly run: string;
  readonly spec: Spec;
  readonly source: Source;
  readonly operator: string;
  readonly found: Counts;
  readonly numbers: Numbers;
  readonly flags: Flags;
  readonly bar: Bar;
  readonly signal: AbortSignal;
}

async function copy(open: Connections, request: CopyRequest): Promise<ExitCode> {
  const { run, spec, source, operator, found, numbers, flags, bar, signal } = request;
  const { database, redis, keys, config, inspector, definitions } = open;
  const { mysql, namespace, settings, durability } = config;
  const own = await OwnedRun.take(database, run, spec, {
    operator,
    counts: found,
    again: flags.again === true,
  });
  let openings: Openings | undefined;
  try {
    const { finishedAt } = await own.read();
    if (finishedAt === null) {
      openings = await Openings.open({
        redis: config.redis,
        mysql,
        definitions,
        namespace,
        settings,
        durability,
        log: open.log,
      });
      const remembered = new Remembered(redis, database, keys, settings.idempotencyWindowMs);
      const sender = new Sender(openings, numbers.patienceMs);
      const parts = { database, keys, inspector, remembered, sender, definitions, source, spec, run: own };
      const { skipUnusable = false, unproven } = flags;
      await new Copy(parts, {
        ...numbers,
        signal,
        skipUnusable,
        unproven: unproven as 'discard' | 'apply' | undefined,
        onProgress: (counts, state) => bar.show(counts.passed, counts.found, state),
      }).run();
    }
    bar.stop();
    const end = await own.read();
    if (end.finishedAt === null) return stopped(run, flags, end);
    print(flags, { ...reportOf(end), already: finishedAt !== null });
    return end.counts.quarantined > 0 || end.counts.skipped > 0 ? EXIT.found : EXIT.ok;
  } finally {
    await openings?.close();
    await own.release();
  }
}

/** Undefined if it was stopped. @throws BackfillError if rows cannot be copied */
async function countsToFind(
  check: CheckParts,
  { patienceMs }: Numbers,
  { skipUnusable }: Flags,
  bar: Bar,
  signal: AbortSignal,
): Promise<Counts | undefined> {
  const { counts, unusable } = await checkRows(check, {
    patienceMs,
    onProgress: (rows, state) => bar.show(rows, 0, state),
    signal,
  });
  if (signal.aborted) return undefined;
  if (unusable.rows > 0 && !skipUnusable) throw unusable.error(check.spec);
  // The walk never comes to a row without a key that it can stand at, so nobody else counts these.
  return { ...NOTHING, found: counts.found, skipped: unusable.counts.UNNAMED_KEY ?? 0 };
}

async function dryRun(check: CheckParts, { patienceMs }: Numbers, flags: Flags): Promise<ExitCode> {
  const { run } = check;
  const bar = new Bar();
  let found: Found;
  try {
    found = await checkRows(check, { patienceMs, onProgress: (rows, state) => bar.show(rows, 0, state) });
  } finally {
    bar.stop();
  }
  const { counts, unusable } = found;
  const { found: rows, copied, empty, amount } = counts;
  if (flags.json)
    console.log(
      JSON.stringify({ run, rows, copied, empty, amount, unusable: unusable.counts, first: unusable.shown }),
    );
  else {
    console.log(
      `nothing was changed; rows: ${rows}, to copy: ${copied} with a sum of ${amount}, NULL or 0: ${empty}, unusable: ${unusable.rows}`,
    );
    for (const [code, count] of Object.entries(unusable.counts)) console.log(`  ${count} ${code}`);
    for (const line of unusable.shown) console.log(`  ${line}`);
  }
  return unusable.rows > 0 ? EXIT.found : EXIT.ok;
}

interface Report extends Counts {
  readonly run: string;
  readonly finished: boolean;
}

function reportOf({ run, counts, finishedAt }: Run): Report {
  return { run, finished: finishedAt !== null, ...counts };
}

function stopped(run: string, flags: Flags, end: Run | undefined): ExitCode {
  if (end) print(flags, { ...reportOf(end), already: false });
  console.error(`sluice: the backfill ${run} was stopped; start it again with the same options to go on`);
  return EXIT.found;
}

function print({ json }: Flags, { already, ...report }: Report & { readonly already: boolean }): void {
  if (json) {
    console.log(JSON.stringify(report));
    return;
  }
  const { run, finished, passed, copied, amount, empty, skipped, quarantined } = report;
  const state = already ? 'had finished before' : finished ? 'finished' : 'is not finished';
  console.log(
    `backfill ${run} ${state}; rows: ${passed}, copied: ${copied} with a sum of ${amount}, NULL or 0: ${empty}, skipped: ${skipped}, in quarantine: ${quarantined}`,
  );
}

/** @throws ConfigurationError */
function numbersOf({ rate, page, lag, patience }: Flags): Numbers {
  const number = (flag: string, text: string, max: number): number => {
    if (/^\d+(\.\d+)?$/.test(text) && Number(text) > 0 && Number(text) <= max) return Number(text);
    throw new ConfigurationError(`${flag} must be a number above 0, ${max} at most.`);
  };
  const rows = number('--page', page, MOST_PAGE);
  if (!Number.isInteger(rows)) throw new ConfigurationError('--page must be a whole number of rows.');
  const most = rate === undefined ? undefined : number('--rate', rate, 1_000_000);
  checkRate(most);
  return {
    rate: most,
    page: rows,
    lagMs: 1000 * number('--lag', lag, 3600),
    patienceMs: 1000 * number('--patience', patience, 86_400),
  };
}

const MOST_PAGE = 20_000;

/** Progress on a terminal; silent elsewhere. */
class Bar {
  #bar: SingleBar | undefined;
  #total = 0;
  #first = 0;
  #startedAt = 0;

  /** @param total 0 if it is not known */
  show(rows: number, total: number, state: string): void {
    if (!process.stderr.isTTY) return;
    if (!this.#bar || total !== this.#total) this.#start(rows, total);
    const left = timeLeft(rows - this.#first, total - rows, performance.now() - this.#startedAt);
    this.#bar!.update(rows, { state, left });
  }

  stop(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  #start(rows: number, total: number): void {
    this.stop();
    const format =
      total > 0
        ? '{bar} {percentage} % | {value} of {total} rows | {left} left | {state}'
        : '{value} rows | {state}';
    this.#bar = new SingleBar({ format, stream: process.stderr, clearOnComplete: true, hideCursor: true });
    this.#bar.start(total, rows, { state: '', left: '' });
    this.#total = total;
    this.#first = rows;
    this.#startedAt = performance.now();
  }
}
