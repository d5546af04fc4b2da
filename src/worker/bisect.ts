/** Finds the rows that MySQL refuses for their own sake, in O(k log n) attempts for k of them among n. */
import { RowFailure } from './blame.ts';

/** Yields items to attempt; `next` takes whether they were refused. An item refused alone is a culprit. */
export function* halves<Item>(items: readonly Item[]): Generator<readonly Item[], void, boolean> {
  if (items.length === 0) return;
  const refused = yield items;
  if (!refused || items.length === 1) return;
  const middle = items.length >>> 1;
  yield* halves(items.slice(0, middle));
  yield* halves(items.slice(middle));
}

/** How to write items of one table, and what is known of the table. */
export interface Search<Item> {
  /**
   * Writes all items or none.
   * @throws RowFailure if they can be to blame; any other error ends the search
   */
  attempt(items: readonly Item[]): Promise<void>;
  /** Writes one item and undoes it. Throws as `attempt`. */
  trial(item: Item): Promise<void>;
  refuse(item: Item, error: unknown): Promise<void>;
  /** Whether the table took other rows since these items failed for the first time. */
  readonly tookOthers: boolean;
  /** How often these items failed before. Each search takes other samples. */
  readonly failures: number;
}

/** Trials for an item that passes, before the table is taken to be broken for all items. */
const SAMPLES = 16;

/**
 * Attempts all items at once. If they are refused, it halves them until the culprits are alone. Items keep
 * their order. An error that is not known to be about data blames an item only if it comes twice and other
 * items pass.
 * @throws RowFailure if all items fail alike
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

/** Whether one of the samples passes. The samples shift with each search, until every item was one. */
async function anyPasses<Item>(items: readonly Item[], search: Search<Item>): Promise<boolean> {
  if (items.length === 1) return false;
  const stride = Math.ceil(items.length / SAMPLES);
  for (let index = search.failures % stride; index < items.length; index += stride)
    if (!(await failureOf(() => search.trial(items[index]!)))) return true;
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
