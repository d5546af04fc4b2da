/** Draws the faults of a schedule; most of them are 0 in most schedules. */
import type { Random } from './random.ts';

/** Probability of each fault per step. */
export interface Faults {
  readonly kill: number;
  readonly freeze: number;
  readonly lost: number;
  readonly resend: number;
  readonly deadlock: number;
  readonly evict: number;
  readonly full: number;
  readonly replicate: number;
  readonly lose: number;
  readonly backup: number;
  readonly restoreMysql: number;
  readonly restoreRedis: number;
}

/** Each schedule has only a few kinds of faults, so that none hides what another would show. */
export function drawFaults(random: Random): Faults {
  const some = (share: number, most: number) => (random.chance(share) ? most * random.next() : 0);
  // A restore and a lost tail would hide each other: a backup is older than what a replica lacks.
  const restores = random.chance(0.1);
  const lose = restores ? 0 : some(0.3, 0.04);
  const mysql = restores && random.chance(0.55);
  return {
    backup: restores ? 0.05 + 0.1 * random.next() : 0,
    restoreMysql: mysql ? 0.02 : 0,
    restoreRedis: restores && (!mysql || random.chance(0.2)) ? 0.02 : 0,
    kill: some(0.5, 0.06),
    freeze: some(0.5, 0.06),
    lost: some(0.4, 0.12),
    resend: some(0.4, 0.15),
    deadlock: some(0.2, 0.1),
    evict: some(0.5, 0.1),
    full: some(0.1, 0.03),
    replicate: 0.005 + 0.2 * random.next() ** 2,
    lose,
  };
}
