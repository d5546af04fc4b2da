/** Finds the rows that MySQL refuses for their own sake, in O(k log n) attempts for k of them among n. */

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
  if (items.length === 0) return;
  try {
    await attempt(items);
    return;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    if (items.length === 1) {
      await refuse(items[0]!, error);
      return;
    }
  }
  const middle = items.length >>> 1;
  await bisect(items.slice(0, middle), attempt, isRefusal, refuse);
  await bisect(items.slice(middle), attempt, isRefusal, refuse);
}
