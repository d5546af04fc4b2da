/**
 * Reads a batch page by page. A page has a limit of items and of bytes: Redis closes a connection whose
 * replies take too much memory, and then no worker could ever read the batch in flight.
 *
 * A few pages are read at once, by their positions in the batch. If a page ends early, the rest of its
 * stretch is read after it. The last stretch is read alone: its last page puts the batch in flight with the
 * totals of all pages, so all pages before must be known.
 */
import type { Page } from './batch.ts';

interface PageRequest {
  /** From the first page; '' asks for the first page. */
  readonly cursor: string;
  /** On the pages before: counter keys, entries, and updates of the counters. */
  readonly keys: number;
  readonly entries: number;
  readonly updates: number;
  /** Limits of the page; a single item may be longer. */
  readonly items: number;
  readonly bytes: number;
}

export type AskPage = (request: PageRequest) => Promise<Page | undefined>;

/** Most counter keys and entries of a page: it takes Redis about half a millisecond. */
const PAGE = 500;
/**
 * Most counter keys and entries of a batch that shares a transaction. A longer one gains nothing from others,
 * and would hold their rows locked: four of this length take MySQL about 60 ms.
 */
const SHORT = 2000;
/** Most bytes of a page; 500 short keys take 35,000. */
const LONGEST_PAGE = 128 * 1024;
/** Pages read at once: Redis may serve them without a pause. */
const ABREAST = 4;
/** A page may be longer than the pages before by this factor before it ends early. */
const SPARE = 1.5;

/** The first page of the batch in flight or of a new one; undefined if nothing is pending. */
export function claimFirstPage(ask: AskPage): Promise<Page | undefined> {
  return ask({ cursor: '', keys: 0, entries: 0, updates: 0, items: PAGE, bytes: LONGEST_PAGE });
}

/** Whether the page is of a batch that is short enough to share a transaction. */
export function isShort({ batch }: Page): boolean {
  return batch.keys + batch.entries <= SHORT;
}

/**
 * All pages of the batch in flight or of a new one; undefined if nothing is pending.
 * @param known the first page, if it was read before
 */
export async function claimPages(ask: AskPage, known?: Page): Promise<Page[] | undefined> {
  for (let given = known; ; given = undefined) {
    const first = given ?? (await claimFirstPage(ask));
    if (!first) return undefined;
    const pages = await readRest(ask, first);
    if (pages) return pages;
  }
}

/** Undefined if another worker was faster, or the partition was repaired: then the caller starts again. */
async function readRest(ask: AskPage, first: Page): Promise<Page[] | undefined> {
  const { cursor, batch } = first;
  const { keys } = batch;
  const total = keys + batch.entries;
  const pages = [first];
  let latest = pages;
  for (let position = itemsOf(first); position < total; ) {
    const { items, bytes } = sizeLike(latest);
    const readStretch = async (from: number, to: number): Promise<Page[] | undefined> => {
      const stretch: Page[] = [];
      let updates = updatesOf(pages);
      for (let next = from; next < to; ) {
        const before = { keys: Math.min(next, keys), entries: Math.max(0, next - keys), updates };
        // The length of counters says nothing about that of entries.
        const most = to > keys ? LONGEST_PAGE : bytes;
        const page = await ask({ cursor, ...before, items: to - next, bytes: most });
        if (!page?.continues) return undefined;
        if (itemsOf(page) === 0) throw new RangeError(`the batch has no item ${next} of ${total}: ${cursor}`);
        stretch.push(page);
        next += itemsOf(page);
        updates += updatesOf([page]);
      }
      return stretch;
    };
    const abreast = Math.max(1, Math.min(ABREAST, Math.ceil((total - position) / items) - 1));
    const starts = Array.from({ length: abreast }, (_, index) => position + index * items);
    const stretches = await Promise.all(
      starts.map(start => readStretch(start, Math.min(total, start + items))),
    );
    if (!stretches.every(stretch => stretch !== undefined)) return undefined;
    latest = stretches.flat();
    pages.push(...latest);
    position = Math.min(total, position + abreast * items);
  }
  return pages;
}

/** Limits of the next pages, if their items are about as long as those of these pages. */
function sizeLike(pages: readonly Page[]): { items: number; bytes: number } {
  const each =
    pages.reduce((sum, { bytes }) => sum + bytes, 0) / pages.reduce((sum, page) => sum + itemsOf(page), 0);
  const items = Math.max(1, Math.min(PAGE, Math.floor(LONGEST_PAGE / SPARE / each)));
  return { items, bytes: Math.min(LONGEST_PAGE, Math.ceil(items * each * SPARE)) };
}

function itemsOf({ keys, entries }: Page): number {
  return keys + entries;
}

function updatesOf(pages: readonly Page[]): number {
  return pages.reduce((sum, { updates }) => sum + updates, 0);
}
