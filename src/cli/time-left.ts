/** How long a backfill still takes, as people say it. */

/**
 * At its speed so far: `2 h 05 min`.
 * @param ms that it took for the rows that are done
 */
export function timeLeft(done: number, rows: number, ms: number): string {
  if (done <= 0) return '?';
  const seconds = Math.ceil(((ms / done) * Math.max(0, rows)) / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  if (hours > 0) return `${hours} h ${String(minutes).padStart(2, '0')} min`;
  return minutes > 0 ? `${minutes} min ${String(seconds % 60).padStart(2, '0')} s` : `${seconds} s`;
}
