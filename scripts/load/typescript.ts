/**
 * Options with which node runs a TypeScript program. A Node that strips types by itself starts one with a third
 * of the work that tsx takes; an older one needs tsx.
 */
export const TYPESCRIPT: readonly string[] = process.features.typescript
  ? ['--disable-warning=ExperimentalWarning']
  : ['--import', 'tsx'];
