/**
 * Reads a batch page by page. A page ends after so many items or bytes, whichever comes first: Redis closes a connection
 * whose replies wait in too many bytes, and a batch in flight would be asked for in vain for ever.
 *
 * Pages are asked for a few at a time, by their places in the batch. A page that ended early is followed by another from
 * there to where it should have ended. The last stretch is read by itself: its last page puts in flight what all pages
 * add up to, so all before it must be known.
 */
import type { Page } from './batch.ts';

interface PageRequest {
  /** Of the first page; '' asks for that. */
  readonly mark: string;
  /** Counter keys, entries, and updates of the keys, on the pages before. */
  readonly keys: number;
  readonly entries: number;
  readonly updates: number;
  /** Most items, and most bytes of them, but for one item that is longer. */
  readonly items: number;
  readonly bytes: number;
}

export type AskPage = (request: PageRequest) => Promise<Page | undefined>;

/** Counter keys and entries: a page takes Redis about half a millisecond. */
const PAGE = 500;
/** Bytes of a page at most; one of 500 short keys has 35,000. */
const LONGEST_PAGE = 128 * 1024;
/** Pages asked for at once: Redis may serve them without a pause. */
const ABREAST = 4;
/** How much longer than the pages before it a page may be without ending early. */
const SPARE = 1.5;

/** All pages of the batch in flight, or of a new one; undefined where nothing is pending. */
export async function claimPages(ask: AskPage): Promise<Page[] | undefined> {
  for (;;) {
    const first = await ask({ mark: '', keys: 0, entries: 0, updates: 0, items: PAGE, bytes: LONGEST_PAGE });
    if (!first) return undefined;
    const pages = await readOn(ask, first);
    if (pages) return pages;
  }
}

/** Undefined where another worker was faster, or the partition was mended: then a page is the first again. */
async function readOn(ask: AskPage, first: Page): Promise<Page[] | undefined> {
  const { mark, batch } = first;
  const { keys } = batch;
  const total = keys + batch.entries;
  const pages = [first];
  let latest = pages;
  for (let at = itemsOf(first); at < total; ) {
    const { items, bytes } = sizeLike(latest);
    const readStretch = async (from: number, to: number): Promise<Page[] | undefined> => {
      const stretch: Page[] = [];
      let updates = updatesOf(pages);
      for (let next = from; next < to; ) {
        const before = { keys: Math.min(next, keys), entries: Math.max(0, next - keys), updates };
        // Counters tell nothing about the length of entries.
        const most = to > keys ? LONGEST_PAGE : bytes;
        const page = await ask({ mark, ...before, items: to - next, bytes: most });
        if (!page?.goesOn) return undefined;
        if (itemsOf(page) === 0) throw new RangeError(`the batch has no item ${next} of ${total}: ${mark}`);
        stretch.push(page);
        next += itemsOf(page);
        updates += updatesOf([page]);
      }
      return stretch;
    };
    const abreast = Math.max(1, Math.min(ABREAST, Math.ceil((total - at) / items) - 1));
    const starts = Array.from({ length: abreast }, (_, index) => at + index * items);
    const stretches = await Promise.all(
      starts.map(start => readStretch(start, Math.min(total, start + items))),
    );
    if (!stretches.every(stretch => stretch !== undefined)) return undefined;
    latest = stretches.flat();
    pages.push(...latest);
    at = Math.min(total, at + abreast * items);
  }
  return pages;
}

/** How large the next pages should be, where their items are about as long as those of these pages. */
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
