/** Finds the rows that MySQL refuses for their own sake, in O(k log n) attempts for k of them among n. */

/** Which items to attempt next; told whether they were refused. A refused item that was attempted alone is a culprit. */
export function* halves<Item>(items: readonly Item[]): Generator<readonly Item[], void, boolean> {
  if (items.length === 0) return;
  const refused = yield items;
  if (!refused || items.length === 1) return;
  const middle = items.length >>> 1;
  yield* halves(items.slice(0, middle));
  yield* halves(items.slice(middle));
}

/**
 * Attempts all items at once; where they are refused, halves them until the culprits are alone. An attempt must leave
 * nothing behind when it is refused. Items are attempted in their order.
 * @param isRefusal errors that blame the data; any other ends the search
 */
export async function bisect<Item>(
  items: readonly Item[],
  attempt: (items: readonly Item[]) => Promise<void>,
  isRefusal: (error: unknown) => boolean,
  refuse: (item: Item, error: unknown) => Promise<void>,
): Promise<void> {
  const search = halves(items);
  for (let step = search.next(); !step.done; ) {
    let refused = false;
    try {
      await attempt(step.value);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      refused = true;
      if (step.value.length === 1) await refuse(step.value[0]!, error);
    }
    step = search.next(refused);
  }
}
