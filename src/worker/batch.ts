/** A batch as `claim` returns it: what one transaction writes to MySQL. */
import { splitItem } from '../shared/keys.ts';
import { type Amendment, isAmendment, isEntry, parseRecord, type RecordedEntry } from '../shared/record.ts';

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
  /** How many counter keys, likewise. */
  readonly popped: number;
  /** It was in flight already: a crash, or another worker that is still at it. */
  readonly reclaimed: boolean;
  /** When `claim` answered, ms of Redis' clock, which is also that of `acceptedAt`. */
  readonly claimedAt: number;
}

/** The reply of claim.lua; see there. */
export type ClaimReply = [
  sequence: string,
  token: string,
  epoch: string,
  updates: string,
  sums: string,
  order: string,
  records: string[],
  reclaimed: number,
  time: string,
  claimed: string,
  popped: string,
];

export function parseBatch(partition: number, reply: ClaimReply): Batch {
  const [sequence, token, epoch, updates, sumsJson, orderJson, records, reclaimed, time, claimed, popped] =
    reply;
  const sums: string[] = JSON.parse(sumsJson);
  const order: string[] = JSON.parse(orderJson);
  const acceptedAt = new Map<string, number>();
  for (const element of order) {
    const space = element.indexOf(' ');
    acceptedAt.set(element.slice(space + 1), Number(element.slice(0, space)));
  }
  const counters: CounterSum[] = [];
  for (let at = 0; at < sums.length; at += 2) {
    const item = sums[at]!;
    const sum = sums[at + 1]!;
    const space = sum.indexOf(' ');
    const { name, key } = splitItem(item);
    // Written out: a spread in this loop cost more than all else that is done with a row.
    counters.push({
      name,
      key,
      item,
      amount: Number(sum.slice(0, space)),
      updates: Number(sum.slice(space + 1)),
      acceptedAt: acceptedAt.get(item) ?? 0,
    });
  }
  // Rows in key order: neighbours in the index are written together, and two writers never wait for each other crosswise.
  counters.sort((a, b) => (a.item < b.item ? -1 : 1));
  const parsed = records.map(parseRecord);
  return {
    partition,
    sequence: Number(sequence),
    token,
    epoch,
    updates: Number(updates),
    counters,
    entries: parsed.filter(isEntry),
    amendments: parsed.filter(isAmendment),
    claimed: Number(claimed),
    popped: Number(popped),
    reclaimed: reclaimed === 1,
    claimedAt: Number(time),
  };
}
