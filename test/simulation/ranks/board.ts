/** What Redis keeps for the board of the ranked name. Names are those of src/shared/redis/layout.ts. */

export interface Ranks {
  phase: 'none' | 'wait' | 'walk' | 'close' | 'ready';
  /** Epoch of the phase. */
  epoch: string;
  /** Name of the build. */
  build: string;
  /** Numbers of the state at the begin; the last one only for a bug. */
  mark: { readonly pushed: number; readonly entryNext: number; readonly updates: number };
  /** `q` or `t`, in quarantine or in the table, and the item after which the walk goes on. */
  cursor: string;
  /** How many noted keys are tried before the swap. */
  left: number;
  /** Scores by item; `next` becomes `board`. */
  board: Map<string, number>;
  next: Map<string, number>;
  noted: Set<string>;
  /** For the checker: how many writes by others the last repair or load of an item has seen. */
  readonly seen: Map<string, number>;
}

export function noRanks(): Ranks {
  return {
    phase: 'none',
    epoch: '',
    build: '',
    mark: { pushed: 0, entryNext: 0, updates: 0 },
    cursor: '',
    left: 0,
    board: new Map(),
    next: new Map(),
    noted: new Set(),
    seen: new Map(),
  };
}

export function copyRanks(ranks: Ranks): Ranks {
  const { board, next, noted, seen } = ranks;
  if (ranks.phase === 'none') return { ...ranks, seen: new Map(seen) };
  return {
    ...ranks,
    board: new Map(board),
    next: new Map(next),
    noted: new Set(noted),
    seen: new Map(seen),
  };
}
