/** A batch as a claim gives it; one transaction writes it to MySQL. */
import { isValueKind, type KeyedKind, type Kind, splitItem } from '../shared/item.ts';
import { readKept } from '../shared/kept-value.ts';
import {
  type Amendment,
  isAmendment,
  isEntry,
  parseRecord,
  type RecordedEntry,
} from '../shared/updates/record.ts';

/** The sum of a counter's pending increments, or the put of a value that is kept of its pending ones. */
export interface CounterSum {
  readonly kind: KeyedKind;
  readonly name: string;
  readonly key: string;
  readonly item: string;
  /** The sum, or the number that is put. */
  readonly amount: number;
  /** See `KeptValue`. */
  readonly version: number;
  /** Number of summed updates. */
  readonly updates: number;
  /** Acceptance of the first of them, ms of Redis' clock. */
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
  readonly amendments: readonly Amendment[];
  /** Updates of the partition claimed in total, this batch included. */
  readonly claimed: number;
  /** Those of them that recoveries discarded: MySQL never gets them. */
  readonly dropped: number;
  /** Counter keys claimed in total. */
  readonly popped: number;
  /** Whether it was in flight already: its worker crashed, or is still writing it. */
  readonly reclaimed: boolean;
  /** Whether updates are pending beyond this batch's segment: this flush may have used up their wake-up. */
  readonly more: boolean;
  /** Time of the claim's answer, ms of Redis' clock, like `acceptedAt`. */
  readonly claimedAt: number;
}

/** A page of a batch, as claim.lua gives it. */
export interface Page {
  /** False for a first page, which also answers the request of a later page if the partition has changed. */
  readonly continues: boolean;
  readonly cursor: string;
  /** Counter keys and entries of the whole batch. */
  readonly batch: { readonly keys: number; readonly entries: number };
  readonly keys: number;
  readonly entries: number;
  readonly bytes: number;
  readonly more: boolean;
  readonly counters: readonly CounterSum[];
  /** Updates of these. */
  readonly updates: number;
  readonly records: readonly string[];
  /** Values of the whole batch; valid on the last page. */
  readonly whole: Omit<Batch, 'partition' | 'counters' | 'entries' | 'amendments' | 'more'>;
}

/** @param pages all of one batch */
export function joinPages(partition: number, pages: readonly Page[]): Batch {
  const parsed = pages.flatMap(page => page.records).map(parseRecord);
  return {
    ...pages.at(-1)!.whole,
    partition,
    counters: pages.flatMap(page => page.counters),
    entries: parsed.filter(isEntry),
    amendments: parsed.filter(isAmendment),
    more: pages[0]!.more,
  };
}

/** @param orderJson `["time item", ...]` @param sumLines `sum count number` of each */
export function parseCounters(orderJson: string, sumLines: string): CounterSum[] {
  const counters: CounterSum[] = [];
  const order: string[] = JSON.parse(orderJson);
  const sums = sumLines.split('\n');
  for (let index = 0; index < order.length; index++) {
    const element = order[index]!;
    const sum = sums[index]!;
    const afterTime = element.indexOf(' ');
    const first = element[afterTime + 1] as Kind;
    const kind = isValueKind(first) ? first : 'c';
    const item = element.slice(kind === 'c' ? afterTime + 1 : afterTime + 2);
    const afterAmount = sum.indexOf(' ');
    const amount = sum.slice(0, afterAmount);
    const { name, key } = splitItem(item);
    const put = kind === '=' ? readKept(amount)! : undefined;
    // No spread: in this loop it cost more than all other work on a row.
    counters.push({
      kind,
      name,
      key,
      item,
      amount: put ? put.value : Number(amount),
      version: put ? put.version : 0,
      updates: Number(sum.slice(afterAmount + 1, sum.indexOf(' ', afterAmount + 1))),
      acceptedAt: Number(element.slice(0, afterTime)),
    });
  }
  return counters;
}
