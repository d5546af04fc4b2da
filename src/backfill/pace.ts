/**
 * How fast a backfill goes. It has one page on its way at a time, so it never fills Redis; and it makes its pages
 * smaller, or waits, while the flush is behind, so that the updates of services come first.
 */

import type { PartitionStatus } from '../shared/redis/inspect.ts';

/** Rows of the first page. */
export const FIRST_PAGE = 500;
/** Rows of the smallest page. */
const LEAST_PAGE = 200;
const SHRINK = 0.5;
const GROW = 1.5;

export interface PaceLimits {
  /** Most rows of a page. */
  readonly page: number;
  /** Most rows a second; undefined for no limit. */
  readonly rate: number | undefined;
  /** The flush lag above which it slows down, ms. */
  readonly lagMs: number;
}

/**
 * Rows of the next page.
 * @param tookMs how long the last page was on its way into MySQL
 */
export function nextPage(rows: number, tookMs: number, { page, rate, lagMs }: PaceLimits): number {
  const wanted = tookMs > lagMs ? rows * SHRINK : tookMs < lagMs / 2 ? rows * GROW : rows;
  // A page takes a second at most, so that a rate is no series of bursts.
  const most = Math.max(1, Math.min(page, rate ?? page));
  return Math.floor(Math.min(most, Math.max(LEAST_PAGE, wanted)));
}

type Standing = Pick<PartitionStatus, 'partition' | 'epoch' | 'sequence' | 'token'>;

/** Since when partitions that are behind have not moved: nobody has claimed a batch of them, or acknowledged one. */
export class Standstill {
  #seen = new Map<number, { readonly at: string; readonly since: number }>();

  /**
   * The partition that has stood longest, and for how long, in ms; undefined if none is behind.
   * @param behind all that are behind at the moment `now`, in ms
   */
  longest(behind: readonly Standing[], now: number): { partition: number; ms: number } | undefined {
    const before = this.#seen;
    this.#seen = new Map(
      behind.map(({ partition, epoch, sequence, token }) => {
        const at = `${epoch} ${sequence} ${token}`;
        const last = before.get(partition);
        return [partition, last?.at === at ? last : { at, since: now }];
      }),
    );
    const [first] = [...this.#seen].toSorted(([, a], [, b]) => a.since - b.since);
    return first && { partition: first[0], ms: now - first[1].since };
  }
}
