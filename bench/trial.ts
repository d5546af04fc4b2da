// A trial: with BENCH_TRIAL=1 every scenario does all of its steps with small sizes, to see that it works. Its
// numbers mean nothing.

const isTrial = process.env.BENCH_TRIAL !== undefined;

/** A size of the measurement, and the one of a trial. */
export function sized<Size>(measured: Size, inTrial: Size): Size {
  return isTrial ? inTrial : measured;
}
