/**
 * Options with which node runs a TypeScript program. A Node that strips types by itself starts one with a third
 * of the work that tsx takes; an older one needs tsx.
 */
export const TYPESCRIPT: readonly string[] = process.features.typescript
  ? ['--disable-warning=ExperimentalWarning']
  : ['--import', 'tsx'];

/**
 * The same for a program whose speed is measured: all results so far used tsx, and a result must not depend on
 * who strips the types. `BENCH_TRIAL=1` says that nothing is measured, so that it may start faster.
 */
export const MEASURED_TYPESCRIPT: readonly string[] = process.env.BENCH_TRIAL
  ? TYPESCRIPT
  : ['--import', 'tsx'];
