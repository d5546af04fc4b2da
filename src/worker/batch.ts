/** A batch as `claim` returns it: what one transaction writes to MySQL. */
import { splitItem } from '../shared/item.ts';
import {
  type Amendment,
  isAmendment,
  isEntry,
  parseRecord,
  type RecordedEntry,
} from '../shared/updates/record.ts';

/** The sum of a counter's pending increments. */
export interface CounterSum {
  readonly name: string;
  readonly key: string;
  readonly item: string;
  readonly amount: number;
  /** How many updates the amount sums up. */
  readonly updates: number;
  /** When the first of them was accepted, ms of Redis' clock. */
  readonly acceptedAt: number;
}

export interface Batch {
  readonly partition: number;
  readonly sequence: number;
  readonly token: string;
  readonly epoch: string;
  readonly updates: number;
  readonly counters: readonly CounterSum[];
  readonly entries: readonly RecordedEntry[];
  /** What operators decided about quarantined updates. */
  readonly amendments: readonly Amendment[];
  /** How many updates of the partition were claimed so far, this batch included. */
  readonly claimed: number;
  /** How many of those claimed recoveries discarded, so that MySQL never gets them. */
  readonly dropped: number;
  /** How many counter keys were claimed so far. */
  readonly popped: number;
  /** It was in flight already: a crash, or another worker that is still at it. */
  readonly reclaimed: boolean;
  /** More was pending than the segment that it is of: its wake-up may have been taken for this one. */
  readonly more: boolean;
  /** When `claim` answered, ms of Redis' clock, which is also that of `acceptedAt`. */
  readonly claimedAt: number;
}

/** A page of a batch, as `claim` gives it. */
export interface Page {
  /** False of a first page, also if a later one was asked for and the partition has changed since. */
  readonly goesOn: boolean;
  readonly mark: string;
  /** Counter keys and entries of the batch. */
  readonly batch: { readonly keys: number; readonly entries: number };
  readonly keys: number;
  readonly entries: number;
  readonly bytes: number;
  /** Updates of its keys. */
  readonly updates: number;
  readonly more: boolean;
  /** The counters as JSON: `["time item", ...]`, and `["sum count number", ...]`. */
  readonly order: string;
  readonly sums: string;
  readonly records: readonly string[];
  /** Of the batch; holds on the last page. */
  readonly whole: Omit<Batch, 'partition' | 'counters' | 'entries' | 'amendments' | 'more'>;
}

/** @param pages all of one batch */
export function joinPages(partition: number, pages: readonly Page[]): Batch {
  const counters: CounterSum[] = [];
  for (const { order, sums } of pages) parseCounters(order, sums, counters);
  // Rows in key order: neighbours in the index are written together, and two writers never wait for each other crosswise.
  counters.sort((a, b) => (a.item < b.item ? -1 : 1));
  const parsed = pages.flatMap(page => page.records).map(parseRecord);
  return {
    ...pages.at(-1)!.whole,
    partition,
    counters,
    entries: parsed.filter(isEntry),
    amendments: parsed.filter(isAmendment),
    more: pages[0]!.more,
  };
}

/** Adds the counters of a page to those before. */
function parseCounters(orderJson: string, sumsJson: string, counters: CounterSum[]): void {
  const order: string[] = JSON.parse(orderJson);
  const sums: string[] = JSON.parse(sumsJson);
  for (let at = 0; at < order.length; at++) {
    const element = order[at]!;
    const sum = sums[at]!;
    const afterTime = element.indexOf(' ');
    const item = element.slice(afterTime + 1);
    const afterAmount = sum.indexOf(' ');
    const { name, key } = splitItem(item);
    // Written out: a spread in this loop cost more than all else that is done with a row.
    counters.push({
      name,
      key,
      item,
      amount: Number(sum.slice(0, afterAmount)),
      updates: Number(sum.slice(afterAmount + 1, sum.indexOf(' ', afterAmount + 1))),
      acceptedAt: Number(element.slice(0, afterTime)),
    });
  }
}
