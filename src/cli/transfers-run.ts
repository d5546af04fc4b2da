/** `sluice transfers list`, `retry` and `return`: filter, dry run, report and audit record. */
import type {
  TransferAction,
  TransferOperations,
  TransferPage,
  TransferPlan,
  TransferReport,
  TransitTransfer,
} from '../replay/index.ts';
import { type CheckedTransferFilter, checkTransferFilter } from '../replay/transfer-filter.ts';
import { ConfigurationError } from '../shared/errors.ts';
import { LIMITS } from '../shared/limits.ts';
import { checkText } from '../shared/updates/key.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { withFailed } from './failed-connections.ts';
import { wholeNumber } from './failed-filter.ts';
import { counts, seconds, shorten } from './failed-look.ts';
import { operatorName } from './operator.ts';
import { onFirstStopSignal } from './signals.ts';
import { table } from './table.ts';

/** The options that select transfers, alike for all subcommands. */
interface Selection {
  readonly name?: string;
  readonly account?: string;
  readonly code?: string;
  readonly from?: string;
  readonly until?: string;
}

interface ListFlags extends Selection {
  readonly state?: string;
  readonly limit: string;
  readonly json?: boolean;
}

/** The options of `retry` and `return`. */
interface RunFlags extends Selection {
  readonly all?: boolean;
  readonly dryRun?: boolean;
  readonly operator?: string;
  readonly reason?: string;
  readonly to?: string;
  readonly json?: boolean;
}

/** @throws ConfigurationError, before a server is needed */
function filterOf(which: readonly string[], options: Selection & { state?: string }): CheckedTransferFilter {
  const { name, account, state, code, from, until } = options;
  return checkTransferFilter({
    ...(which.length > 0 ? { transfers: [...which] } : {}),
    ...(name === undefined ? {} : { name }),
    ...(account === undefined ? {} : { account }),
    ...(state === undefined ? {} : { state: state as 'open' | 'aside' }),
    ...(code === undefined ? {} : { code }),
    ...(from === undefined ? {} : { from }),
    ...(until === undefined ? {} : { until }),
  });
}

/** All of them only with `--all`. @throws ConfigurationError */
function explicitFilterOf(which: readonly string[], flags: RunFlags): CheckedTransferFilter {
  const filter = filterOf(which, flags);
  const isEmpty = Object.keys(filter).length === 0;
  if (isEmpty && !flags.all)
    throw new ConfigurationError('Nothing is selected; give names of transfers, a filter, or --all.');
  if (!isEmpty && flags.all)
    throw new ConfigurationError('--all cannot be combined with a filter; leave one out.');
  // Those in transit are left alone, so they are shown only if they are named.
  return which.length > 0 ? filter : { ...filter, state: 'aside' };
}

export async function runList(which: readonly string[], options: ListFlags): Promise<ExitCode> {
  const filter = filterOf(which, options);
  const limit = wholeNumber('--limit', options.limit);
  const found = await withFailed(failed => failed.transfers.list(filter, { limit }), { looks: true });
  console.log(options.json ? JSON.stringify(found) : printPage(found));
  return EXIT.ok;
}

function printPage({ transfers, total }: TransferPage): string {
  const lines = [`transfers that wait: ${total}`];
  if (transfers.length > 0) lines.push(printTransfers(transfers));
  if (transfers.length < total)
    lines.push(`${transfers.length} of ${total} shown, the oldest first; for more: --limit`);
  return lines.join('\n');
}

function printTransfers(transfers: readonly TransitTransfer[]): string {
  return table(
    [
      'transfer',
      'program',
      'from',
      'to',
      'amount',
      'state',
      'age, s',
      'error code',
      'partition',
      'debited at',
    ],
    transfers.map(one => [
      one.transfer,
      one.program,
      shorten(JSON.stringify(one.from), 40),
      shorten(JSON.stringify(one.to), 40),
      one.amount,
      one.state,
      one.ageSeconds.toFixed(1),
      one.code ?? '-',
      one.partition,
      seconds(one.createdAt),
    ]),
  );
}

export function runRetry(which: readonly string[], flags: RunFlags): Promise<ExitCode> {
  const { reason } = flags;
  return carryOut('retry', which, flags, (transfers, filter, author, signal) =>
    transfers.retry(filter, { ...author, reason }, { signal }),
  );
}

export async function runReturn(which: readonly string[], flags: RunFlags): Promise<ExitCode> {
  const { reason, dryRun, to } = flags;
  if (!reason && !dryRun) throw new ConfigurationError('A return needs a reason; give --reason TEXT.');
  return carryOut('return', which, flags, (transfers, filter, author, signal) =>
    transfers.return(filter, { ...author, reason: reason! }, { to, signal }),
  );
}

type Start = (
  transfers: TransferOperations,
  filter: CheckedTransferFilter,
  author: { readonly operator: string },
  signal: AbortSignal,
) => Promise<TransferReport>;

async function carryOut(
  action: TransferAction,
  which: readonly string[],
  flags: RunFlags,
  start: Start,
): Promise<ExitCode> {
  const filter = explicitFilterOf(which, flags);
  if (flags.to !== undefined) checkText(flags.to, 'INVALID_ACCOUNT', 'account', LIMITS.account);
  if (flags.dryRun) {
    const plan = await withFailed(({ transfers }) => transfers.plan(action, filter, flags.to), {
      looks: true,
    });
    console.log(flags.json ? JSON.stringify(plan) : printPlan(plan));
    return EXIT.ok;
  }
  const author = { operator: operatorName(flags.operator) };
  const report = await withFailed(({ transfers }) => {
    const stopping = new AbortController();
    onFirstStopSignal(() => stopping.abort());
    return start(transfers, filter, author, stopping.signal);
  });
  console.log(flags.json ? JSON.stringify(report) : printReport(report));
  if (!report.finished)
    console.error(
      `sluice: operation ${report.operation} was stopped; what it did stays done, so run the command again for the rest`,
    );
  const isMissed = (outcome: string) => outcome === 'gone' || outcome.startsWith('refused:');
  return report.finished && !Object.keys(report.transfers).some(isMissed) ? EXIT.ok : EXIT.found;
}

function printPlan({ action, groups }: TransferPlan): string {
  const transfers = groups.reduce((sum, group) => sum + group.transfers, 0);
  const head = `nothing was changed; a ${action} would cover transfers: ${transfers}`;
  if (groups.length === 0) return head;
  const rows = groups.map(group => [
    group.transfers,
    group.amount,
    group.program,
    group.code ?? '-',
    group.outcome,
  ]);
  return `${head}\n${table(['transfers', 'points', 'program', 'error code', 'would be'], rows)}`;
}

function printReport({ operation, action, transfers, finished }: TransferReport): string {
  const done = (transfers.retried ?? 0) + (transfers.returned ?? 0);
  const next =
    done > 0 ? '; workers send the credits now, and put those aside again that MySQL still refuses' : '';
  return `operation ${operation} (${action}) ${finished ? 'finished' : 'is not finished'}; transfers: ${counts(transfers)}${next}`;
}
