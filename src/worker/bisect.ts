/**
 * Finds the rows that MySQL refuses for their own sake: in O(k log n) attempts for k of them among n, and in hardly
 * more than n if there are many.
 */
import { RowFailure } from './blame.ts';

/** Rows that pass for each bad one, times this: with so many, a part is refused about every second time. */
const PART = 0.7;

/**
 * Yields parts to attempt, in the order of the items; `next` takes whether the part was refused. An item refused
 * alone is a culprit. First comes everything at once. A refused part is halved until its first culprit is alone:
 * if its first half passes, the culprit is in the second one, which is halved without an attempt. The next part is
 * as long as the culprits so far are apart, and longer after each part that passes.
 */
export function* parts<Item>(items: readonly Item[]): Generator<readonly Item[], void, boolean> {
  let size = items.length;
  let passed = 0;
  let culprits = 0;
  for (let from = 0; from < items.length; ) {
    let to = Math.min(items.length, from + size);
    let refused = yield items.slice(from, to);
    while (refused && to - from > 1) {
      const middle = from + ((to - from) >>> 1);
      if (yield items.slice(from, middle)) to = middle;
      else {
        passed += middle - from;
        from = middle;
        // It may pass alone: a sum that is too large can have no culprit.
        if (to - from === 1) refused = yield items.slice(from, to);
      }
    }
    if (refused) culprits++;
    else passed += to - from;
    from = to;
    const apart = culprits === 0 ? items.length : Math.max(1, Math.round((PART * passed) / culprits));
    size = refused ? apart : Math.max(2 * size, apart);
  }
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
 * Attempts all items at once. If they are refused, it attempts parts of them until the culprits are alone. Items keep
 * their order. An error that is not known to be about data blames an item only if it comes twice and other
 * items pass.
 * @param suspects items that are likely to be refused: they come after the others, so that those go at once
 * @throws RowFailure if all items fail alike
 */
export async function bisect<Item>(
  items: readonly Item[],
  search: Search<Item>,
  suspects: readonly Item[] = [],
): Promise<void> {
  const all = suspects.length === 0 ? items : [...items, ...suspects];
  const steps = inTurn(parts(items), parts(suspects));
  let othersPass = false;
  for (let step = steps.next(); !step.done; ) {
    const failure = await failureOf(() => search.attempt(step.value!));
    if (!failure) othersPass = true;
    else if (failure.blame !== 'data') {
      othersPass ||= (failure.blame === 'row' && search.tookOthers) || (await anyPasses(all, search));
      if (!othersPass) throw failure;
    }
    let culprit = failure;
    if (failure && step.value.length === 1 && failure.blame !== 'data')
      culprit = await failureOf(() => search.attempt(step.value!));
    if (culprit && step.value.length === 1) await search.refuse(step.value[0]!, culprit.cause);
    step = steps.next(culprit !== undefined);
  }
}

function* inTurn<Item>(
  ...searches: readonly Generator<readonly Item[], void, boolean>[]
): Generator<readonly Item[], void, boolean> {
  for (const search of searches) yield* search;
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
