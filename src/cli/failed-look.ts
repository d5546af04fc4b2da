/** `sluice failed list`, `show`, `export` and `audit`, which change nothing. */

import type {
  FailedJob,
  FailedPage,
  FailedUpdate,
  Operation,
  OperationItem,
  ShownUpdate,
  TransferItem,
} from '../replay/index.ts';
import { shownKey } from '../shared/composite-key.ts';
import { KEEPS } from '../shared/item.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { withFailed } from './failed-connections.ts';
import { filterOf, type Selection, split, wholeNumber } from './failed-filter.ts';
import { table } from './table.ts';

const LOOKS = { looks: true };

interface Page {
  readonly limit: string;
  readonly json?: boolean;
}

export async function runList(
  which: readonly string[],
  options: Selection & Page & { after: string },
): Promise<ExitCode> {
  const filter = filterOf(which, options);
  const page = { limit: wholeNumber('--limit', options.limit), after: wholeNumber('--after', options.after) };
  const found = await withFailed(failed => failed.list(filter, page), LOOKS);
  console.log(options.json ? JSON.stringify(found) : printPage(found));
  return EXIT.ok;
}

function printPage({ jobs, updates, total }: FailedPage): string {
  const lines: string[] = [];
  if (jobs.length > 0) {
    lines.push(
      `failed flush jobs: ${jobs.length}`,
      table(
        ['job', 'partition', 'attempts', 'failed at', 'reason'],
        jobs.map(job => [
          `job:${job.job}`,
          job.partition,
          job.attempts,
          seconds(job.failedAt),
          shorten(job.reason, 80),
        ]),
      ),
      '',
    );
  }
  lines.push(`quarantined updates: ${total}`);
  if (updates.length > 0) lines.push(printUpdates(updates));
  const last = updates.at(-1);
  if (last && updates.length < total)
    lines.push(
      `${updates.length} of ${total} shown; for more: --after ${last.id}, or --limit, or sluice failed export`,
    );
  return lines.join('\n');
}

function printUpdates(updates: readonly FailedUpdate[]): string {
  const someTransfer = updates.some(({ to }) => to !== null);
  const somePost = updates.some(({ hold }) => hold !== null);
  return table(
    [
      'number',
      'kind',
      'name',
      'key',
      ...(someTransfer ? ['transfer to'] : []),
      ...(somePost ? ['post of hold'] : []),
      'amount',
      'cause',
      'error code',
      'partition',
      'batch',
      'quarantined at',
    ],
    updates.map(update => [
      update.id,
      update.kind,
      update.name,
      shorten(shownKey(update.key), 40),
      ...(someTransfer ? [update.to === null ? '-' : shorten(shownKey(update.to), 40)] : []),
      ...(somePost ? [update.hold === null ? '-' : shorten(JSON.stringify(update.hold), 40)] : []),
      update.amount,
      update.cause,
      update.code,
      update.partition,
      update.sequence,
      seconds(update.quarantinedAt),
    ]),
  );
}

export async function runShow(which: readonly string[], options: { json?: boolean }): Promise<ExitCode> {
  const { ids, jobs } = split(which);
  const found = await withFailed(
    async failed => ({
      jobs: jobs.length > 0 ? (await failed.list({ jobs })).jobs : [],
      updates: ids.length > 0 ? await failed.show(ids) : [],
    }),
    LOOKS,
  );
  const unknown = [
    ...jobs.filter(id => !found.jobs.some(({ job }) => job === id)).map(id => `job:${id}`),
    ...found.updates.filter(isUnknown).map(({ id }) => id),
  ];
  if (options.json) console.log(JSON.stringify(found));
  else {
    const blocks = [
      ...found.jobs.map(printJob),
      ...found.updates.filter(shown => !isUnknown(shown)).map(printShown),
    ];
    if (blocks.length > 0) console.log(blocks.join('\n\n'));
  }
  if (unknown.length === 0) return EXIT.ok;
  console.error(
    `sluice: no failed update or job has this number, now or before: ${unknown.join(', ')}; see sluice failed list`,
  );
  return EXIT.found;
}

function isUnknown({ update, items }: ShownUpdate): boolean {
  return update === null && items.length === 0;
}

function printJob({ job, partition, attempts, failedAt, reason }: FailedJob): string {
  return fields([
    ['job', `job:${job}`],
    ['partition', partition],
    ['attempts', attempts],
    ['failed at', failedAt],
    ['reason', reason],
  ]);
}

function printShown({ id, update, items }: ShownUpdate): string {
  const {
    kind,
    name,
    key,
    amount,
    updates,
    entryId,
    reason,
    metadata,
    to,
    hold,
    cause,
    code,
    partition,
    sequence,
    quarantinedAt,
    takenBy,
  } = update ?? items.at(-1)!.original;
  const isEntry = kind === 'entry';
  return fields([
    ['number', id],
    ['state', update ? 'in quarantine' : 'out of quarantine'],
    ...(update && takenBy !== null ? ([['taken by', `operation ${takenBy}`]] as const) : []),
    [isEntry ? 'program' : kind in KEEPS ? 'value' : 'counter', name],
    [isEntry ? 'account' : 'key', shownKey(key)],
    // A record from before transfers has no destination.
    ...(to ? ([['transfer to', shownKey(to)]] as const) : []),
    [kind in KEEPS ? `put (${kind} is kept)` : 'amount', amount],
    ...(isEntry
      ? ([
          // The id of such a debit is made from the hold's.
          [hold ? 'post of hold' : 'id', JSON.stringify(hold ?? entryId)],
          ['reason', reason === null ? '-' : JSON.stringify(reason)],
          ['metadata', metadata === null ? '-' : JSON.stringify(metadata)],
        ] as const)
      : ([[kind in KEEPS ? 'puts' : 'increments', updates]] as const)),
    ['cause', cause === 'held' ? 'held: a worker writes it once its table can be written' : 'refused'],
    ['error code', code],
    ['batch', `${sequence} of partition ${partition}`],
    ['quarantined at', quarantinedAt],
    ...items.map(item => ['operation', `${item.operation}: ${item.outcome} at ${item.doneAt}`] as const),
  ]);
}

function fields(rows: readonly (readonly [string, string | number])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n');
}

export async function runExport(which: readonly string[], options: Selection): Promise<ExitCode> {
  const filter = filterOf(which, options);
  await withFailed(async failed => {
    for await (const row of failed.export(filter)) console.log(JSON.stringify(row));
  }, LOOKS);
  return EXIT.ok;
}

export async function runAudit(operation: string | undefined, options: Page): Promise<ExitCode> {
  const limit = wholeNumber('--limit', options.limit);
  if (operation === undefined) {
    const operations = await withFailed(failed => failed.operations(limit), LOOKS);
    console.log(options.json ? JSON.stringify({ operations }) : printOperations(operations));
    return EXIT.ok;
  }
  const number = wholeNumber('The number of an operation', operation);
  const found = await withFailed(async failed => {
    const one = { ...(await failed.operation(number)), items: await failed.items(number, { limit }) };
    if (!one.transfers) return one;
    return { ...one, transferItems: await failed.transferItems(number, { limit }) };
  }, LOOKS);
  console.log(options.json ? JSON.stringify(found) : printOperation(found));
  return EXIT.ok;
}

function printOperations(operations: readonly Operation[]): string {
  if (operations.length === 0) return 'no operations yet';
  return table(
    ['operation', 'action', 'operator', 'started at', 'finished at', 'outcomes', 'reason', 'filter'],
    operations.map(one => [
      one.operation,
      one.action,
      one.operator,
      seconds(one.startedAt),
      one.finishedAt ? seconds(one.finishedAt) : 'not finished',
      counts(one.outcomes),
      one.reason ?? '-',
      shorten(JSON.stringify(one.hold ?? one.transfers?.filter ?? one.filter), 60),
    ]),
  );
}

function printOperation({
  transferItems = [],
  ...one
}: Operation & {
  items: readonly OperationItem[];
  transferItems?: readonly TransferItem[];
}): string {
  const done = Object.values(one.outcomes).reduce((sum, count) => sum + count, 0);
  const head = fields([
    ['operation', one.operation],
    ['action', one.action],
    ['operator', one.operator],
    ['reason', one.reason ?? '-'],
    [one.hold ? 'hold' : 'filter', JSON.stringify(one.hold ?? one.transfers?.filter ?? one.filter)],
    ...(one.transfers?.to === undefined ? [] : ([['to', shownKey(one.transfers.to)]] as const)),
    ...(one.change ? ([['change', JSON.stringify(one.change)]] as const) : []),
    ...(one.jobs.length > 0 ? ([['jobs', one.jobs.map(job => `job:${job}`).join(', ')]] as const) : []),
    ['started at', one.startedAt],
    ['finished at', one.finishedAt ?? 'not finished'],
    [one.hold ? 'holds' : one.transfers ? 'transfers' : 'updates', counts(one.outcomes)],
  ]);
  const listed = one.items.length + transferItems.length;
  if (listed === 0) return head;
  const more = listed < done ? `\n${listed} of ${done} shown; for more: --limit` : '';
  return `${head}\n\n${one.transfers ? printTransferItems(transferItems) : printItems(one.items)}${more}`;
}

function printItems(items: readonly OperationItem[]): string {
  const rows = items.map(({ id, outcome, doneAt, original }) => [
    id,
    outcome,
    seconds(doneAt),
    original.name,
    shorten(shownKey(original.key), 40),
    original.amount,
  ]);
  return table(['number', 'outcome', 'at', 'name', 'key', 'amount'], rows);
}

function printTransferItems(items: readonly TransferItem[]): string {
  const rows = items.map(({ transfer, outcome, doneAt, original }) => [
    transfer,
    outcome,
    seconds(doneAt),
    original.program,
    shorten(shownKey(original.from), 40),
    shorten(shownKey(original.to), 40),
    original.amount,
  ]);
  return table(['transfer', 'outcome', 'at', 'program', 'from', 'to', 'amount'], rows);
}

/** `3 replayed, 1 refused:X`. */
export function counts(outcomes: Readonly<Record<string, number>>): string {
  const parts = Object.entries(outcomes).map(([outcome, count]) => `${count} ${outcome}`);
  return parts.length > 0 ? parts.join(', ') : 'none';
}

export function seconds(instant: string): string {
  return `${instant.slice(0, 19)}Z`;
}

export function shorten(text: string, length: number): string {
  const line = text.replace(/\s+/g, ' ');
  return line.length > length ? `${line.slice(0, length - 1)}…` : line;
}
