/**
 * When an entry in use is loaded again before its end, so that no caller ever waits for the load.
 *
 * By chance (XFetch, "Optimal Probabilistic Cache Stampede Prevention", 2015): each reader draws, and the chance grows
 * towards the end. A slow load begins earlier. `remaining * random < 1`, which is often copied, hardly ever refreshes.
 */
export interface Life {
  /** When the entry ends, and when it began, in ms of the epoch. */
  readonly endsAt: number;
  readonly beganAt: number;
  /** The time that the load took, ms. */
  readonly loadMs: number;
}

/** Above 1, entries are loaded earlier. */
const BETA = 1;
const LAST = 0.1;

/** @param random at least 0, below 1 */
export function isDueByChance({ endsAt, loadMs }: Life, now: number, random: number): boolean {
  return now - loadMs * BETA * Math.log(random) >= endsAt;
}

/** Refresh ahead: due in the last tenth of the entry's life. */
export function isDueAhead({ beganAt, endsAt }: Life, now: number): boolean {
  return now >= endsAt - LAST * (endsAt - beganAt);
}
