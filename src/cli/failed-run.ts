/** `sluice failed replay` and `drop`, which change updates: dry run, pace, progress and audit record. */
import { SingleBar } from 'cli-progress';
import { checkChange } from '../replay/amendment.ts';
import type {
  Action,
  Change,
  FailedUpdates,
  OperationReport,
  Plan,
  Progress,
  RunOptions,
  TakenBy,
} from '../replay/index.ts';
import { ConfigurationError } from '../shared/errors.ts';
import { DuplicateKeyError, parseExact } from '../shared/exact-json.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { withFailed } from './failed-connections.ts';
import { explicitFilterOf, type Selection, wholeNumber } from './failed-filter.ts';
import { counts } from './failed-look.ts';
import { operatorName } from './operator.ts';
import { onFirstStopSignal } from './signals.ts';
import { table } from './table.ts';

/** The options of `replay` and `drop`. */
interface RunFlags extends Selection {
  readonly dryRun?: boolean;
  readonly rate?: string;
  readonly resume?: string;
  readonly operator?: string;
  readonly reason?: string;
  readonly edit?: string;
  readonly json?: boolean;
}

/** What to do with each update. */
interface Deed {
  readonly action: Action;
  readonly change?: Change;
  readonly reason?: string;
}

export async function runReplay(which: readonly string[], flags: RunFlags): Promise<ExitCode> {
  const change = changeOf(flags);
  return carryOut(change ? { action: 'edit', change } : { action: 'replay' }, which, flags);
}

export async function runDrop(which: readonly string[], flags: RunFlags): Promise<ExitCode> {
  const { reason, dryRun, resume } = flags;
  if (!reason && !dryRun && resume === undefined)
    throw new ConfigurationError('A drop needs a reason; give --reason TEXT.');
  return carryOut({ action: 'drop', ...(reason === undefined ? {} : { reason }) }, which, flags);
}

function carryOut(deed: Deed, which: readonly string[], flags: RunFlags): Promise<ExitCode> {
  return flags.dryRun ? runPlan(deed, which, flags) : runOperation(deed, which, flags);
}

/** @throws ConfigurationError */
function changeOf({ edit, resume }: RunFlags): Change | undefined {
  if (edit === undefined) return undefined;
  if (resume !== undefined)
    throw new ConfigurationError('--resume uses the change of its operation; leave --edit out.');
  let change: Change;
  try {
    change = parseExact(edit) as Change;
  } catch (cause) {
    const why = cause instanceof DuplicateKeyError ? `: ${cause.message}` : ', such as {"amount":5}';
    throw new ConfigurationError(`--edit must be JSON${why}.`, { cause });
  }
  return checkChange(change);
}

async function runPlan(
  { action, change }: Deed,
  which: readonly string[],
  flags: RunFlags,
): Promise<ExitCode> {
  if (flags.resume !== undefined)
    throw new ConfigurationError('--dry-run is for a new operation; leave --resume out.');
  const filter = explicitFilterOf(which, flags);
  const options = { rate: rateOf(flags), ...(change ? { change } : {}) };
  const plan = await withFailed(failed => failed.plan(action, filter, options));
  console.log(flags.json ? JSON.stringify(plan) : printPlan(plan));
  return plan.groups.some(group => group.outcome.startsWith('refused:')) ? EXIT.found : EXIT.ok;
}

function printPlan({ action, groups, jobs }: Plan): string {
  const updates = groups.reduce((sum, group) => sum + group.updates, 0);
  const head = `nothing was changed; a ${action} would cover updates: ${updates}, failed flush jobs: ${jobs.length}`;
  if (groups.length === 0) return head;
  const rows = groups.map(group => [group.updates, group.kind, group.name, group.code, group.outcome]);
  return `${head}\n${table(['updates', 'kind', 'name', 'error code', 'would be'], rows)}`;
}

async function runOperation(deed: Deed, which: readonly string[], flags: RunFlags): Promise<ExitCode> {
  const { action } = deed;
  const resumed = flags.resume === undefined ? undefined : wholeNumber('--resume', flags.resume);
  const filter = resumed === undefined ? explicitFilterOf(which, flags) : undefined;
  if (resumed !== undefined && (which.length > 0 || Object.keys(ownOptions(flags)).length > 0))
    throw new ConfigurationError(
      '--resume uses the filter, operator and reason of its operation; leave them out.',
    );
  const author = { operator: operatorName(flags.operator) };
  const stopping = new AbortController();
  const bar = new Bar();
  let started: number | undefined;
  const options: RunOptions = {
    rate: rateOf(flags),
    signal: stopping.signal,
    onStart: operation => {
      started = operation;
    },
    onProgress: progress => bar.show(progress),
  };
  const start = (failed: FailedUpdates): Promise<OperationReport> => {
    onFirstStopSignal(() => stopping.abort());
    if (filter === undefined)
      return failed.resume(action === 'drop' ? ['drop'] : ['replay', 'edit'], resumed!, options);
    if (deed.change) return failed.edit(filter, deed.change, author, options);
    if (action === 'drop') return failed.drop(filter, { ...author, reason: deed.reason! }, options);
    return failed.replay(filter, author, options);
  };
  let report: OperationReport;
  try {
    report = await withFailed(start).finally(() => bar.stop());
  } catch (error) {
    if (started !== undefined) console.error(goOn(action, started));
    throw error;
  }
  console.log(flags.json ? JSON.stringify(report) : printReport(report));
  for (const taker of report.takenBy) console.error(takenBy(taker));
  if (!report.finished) console.error(goOn(action, report.operation));
  const { waiting, unknown } = report.updates;
  const isDone = report.finished && report.takenBy.length === 0;
  const isClean = isDone && unknown === undefined && waiting === undefined;
  return isClean && !Object.keys(report.updates).some(outcome => outcome.startsWith('refused:'))
    ? EXIT.ok
    : EXIT.found;
}

function printReport({ operation, action, updates, jobs, finished }: OperationReport): string {
  const about = Object.keys(jobs).length > 0 ? `; jobs: ${counts(jobs)}` : '';
  return `operation ${operation} (${action}) ${finished ? 'finished' : 'is not finished'}; updates: ${counts(updates)}${about}`;
}

function goOn(action: OperationReport['action'], operation: number): string {
  return `sluice: operation ${operation} is not finished; continue with: ${resuming(action, operation)}`;
}

function takenBy({ operation, action, operator, updates }: TakenBy): string {
  return `sluice: operation ${operation} (${action} by ${operator}) has taken ${updates} of these updates, so no other may change them; if it was interrupted, continue it with: ${resuming(action, operation)}`;
}

function resuming(action: OperationReport['action'], operation: number): string {
  return `sluice failed ${action === 'drop' ? 'drop' : 'replay'} --resume ${operation}`;
}

/** The options that a resumed operation takes from its record. */
function ownOptions({ json: _, rate: __, resume: ___, ...own }: RunFlags) {
  return own;
}

/** @throws ConfigurationError */
function rateOf({ rate }: RunFlags): number | undefined {
  if (rate === undefined) return undefined;
  if (!/^\d+(\.\d+)?$/.test(rate) || Number(rate) <= 0)
    throw new ConfigurationError('--rate must be a number of updates a second, above 0.');
  return Number(rate);
}

/** Progress on a terminal; silent elsewhere. */
class Bar {
  #bar: SingleBar | undefined;

  show({ done, total, outcome }: Progress): void {
    if (!process.stderr.isTTY) return;
    if (!this.#bar) {
      const format = '{bar} {percentage} % | {value} of {total} | {outcome}';
      this.#bar = new SingleBar({ format, stream: process.stderr, clearOnComplete: true, hideCursor: true });
      this.#bar.start(total, 0, { outcome: '' });
    }
    this.#bar.update(done, { outcome });
  }

  stop(): void {
    this.#bar?.stop();
  }
}
