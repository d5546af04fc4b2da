/** Operations as the page gets them, and what routes of several pages do with them. */
import type {
  FailedUpdates,
  Operation,
  OperationItem,
  OperationReport,
  RunOptions,
} from '../replay/index.ts';
import type { QuarantinedUpdate, ShownOperation } from './answers.ts';
import type { ConsoleParts } from './parts.ts';
import type { Answer, Asker } from './route.ts';
import { isOfUpdate, shownUpdate } from './shown-updates.ts';

type Running = Pick<ConsoleParts, 'running'>;

export function shownOperation(
  found: Operation,
  { running }: Running,
  { seesPayloads }: Pick<Asker, 'seesPayloads'>,
): ShownOperation {
  const { operation, action, operator, reason, address, rate, startedAt, finishedAt, outcomes } = found;
  const progress = running.progressOf(operation) ?? null;
  return {
    ...{ operation, action, operator, reason, address },
    filter: filterText(found, seesPayloads),
    ...{ rate, startedAt, finishedAt, outcomes, progress },
    state: progress ? 'running' : finishedAt === null ? 'interrupted' : 'finished',
  };
}

function filterText({ filter, jobs, change, transfers, hold }: Operation, seesPayloads: boolean): string {
  const { reason, metadata, ...amount } = change ?? {};
  // What an edit writes is the content of an update.
  const shown = seesPayloads ? change : change && { ...amount, hidden: 'reason and metadata' };
  const changed = shown ? { change: shown } : {};
  return JSON.stringify({ filter, ...(jobs.length > 0 ? { jobs } : {}), ...changed, transfers, hold });
}

/** What operations did to updates. Of one operation all items have the same operator and reason. */
export async function shownItems(
  items: readonly OperationItem[],
  failed: Pick<FailedUpdates, 'operation'>,
  { seesPayloads }: Pick<Asker, 'seesPayloads'>,
): Promise<QuarantinedUpdate['items']> {
  const operations = new Map<number, Operation>();
  for (const { operation } of items)
    if (!operations.has(operation)) operations.set(operation, await failed.operation(operation));
  return items.filter(isOfUpdate).map(({ operation, outcome, doneAt, original }) => {
    const { action, operator, reason } = operations.get(operation)!;
    const shown = shownUpdate(original, seesPayloads);
    return { operation, action, operator, reason, outcome, doneAt, original: shown };
  });
}

/** Starts an operation, which goes on after the answer. */
export async function goesOn(
  run: (options: RunOptions) => Promise<OperationReport>,
  rate: number | undefined,
  parts: ConsoleParts,
  asker: Asker,
): Promise<Answer> {
  return answered(await parts.running.start(run, rate), parts, asker);
}

/** Reads nothing: an operation that was recorded must not be answered with an error. */
export function answered(started: Operation, parts: ConsoleParts, asker: Asker): Answer {
  const { operation } = started;
  const { name: operator, address } = asker;
  parts.log.info({ operation, operator, address }, 'an operation was started or continued from the console');
  return { status: 202, body: shownOperation(started, parts, asker) };
}

export async function oneOperation(
  operation: number,
  parts: ConsoleParts,
  asker: Asker,
): Promise<ShownOperation> {
  return shownOperation(await (await parts.failed()).operation(operation), parts, asker);
}
