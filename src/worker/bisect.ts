/** Finds the rows that MySQL refuses for their own sake, in O(k log n) attempts for k of them among n. */
import { RowFailure } from './blame.ts';

/** Which items to attempt next; told whether they were refused. A refused item that was attempted alone is a culprit. */
export function* halves<Item>(items: readonly Item[]): Generator<readonly Item[], void, boolean> {
  if (items.length === 0) return;
  const refused = yield items;
  if (!refused || items.length === 1) return;
  const middle = items.length >>> 1;
  yield* halves(items.slice(0, middle));
  yield* halves(items.slice(middle));
}

/** How the items of one table are written, and what is known of that table. */
export interface Search<Item> {
  /** @throws RowFailure if the items can be to blame, and nothing of them is left behind; another error ends the search */
  attempt(items: readonly Item[]): Promise<void>;
  /** The same, and leaves nothing behind if it succeeds either. */
  trial(item: Item): Promise<void>;
  refuse(item: Item, error: unknown): Promise<void>;
  /** Whether the table took other rows since these items failed for the first time. */
  readonly tookOthers: boolean;
  /** How often these items failed before: each search then looks at other samples. */
  readonly failures: number;
}

/** Trials that look for an item that passes, before a table is taken to be broken for all of them. */
const SAMPLES = 16;

/**
 * Attempts all items at once; if they are refused, halves them until the culprits are alone. Items are attempted in their
 * order. An error that is not known to be about data blames an item only if it comes twice, and other items pass.
 * @throws what the server threw if all items fail alike
 */
export async function bisect<Item>(items: readonly Item[], search: Search<Item>): Promise<void> {
  const steps = halves(items);
  let othersPass = false;
  for (let step = steps.next(); !step.done; ) {
    const failure = await failureOf(() => search.attempt(step.value!));
    if (!failure) othersPass = true;
    else if (failure.blame !== 'data') {
      othersPass ||= (failure.blame === 'row' && search.tookOthers) || (await anyPasses(items, search));
      if (!othersPass) throw failure;
    }
    let culprit = failure;
    if (failure && step.value.length === 1 && failure.blame !== 'data')
      culprit = await failureOf(() => search.attempt(step.value!));
    if (culprit && step.value.length === 1) await search.refuse(step.value[0]!, culprit.cause);
    step = steps.next(culprit !== undefined);
  }
}

/** Whether one of some samples passes. After as many searches as there are items for each sample, all had their turn. */
async function anyPasses<Item>(items: readonly Item[], search: Search<Item>): Promise<boolean> {
  if (items.length === 1) return false;
  const stride = Math.ceil(items.length / SAMPLES);
  for (let at = search.failures % stride; at < items.length; at += stride)
    if (!(await failureOf(() => search.trial(items[at]!)))) return true;
  return false;
}

async function failureOf(use: () => Promise<void>): Promise<RowFailure | undefined> {
  try {
    await use();
    return undefined;
  } catch (error) {
    if (error instanceof RowFailure) return error;
    throw error;
  }
}
