/**
 * What `sluice plan` calculates with, each with where it was measured. After new measurements change the values here,
 * then `npm run generate`: a unit test compares them with the newest figures in bench/results and with docs/memory.md.
 */

/** Where a constant comes from. */
export type Source =
  | {
      /** Name of a scenario of bench/README.md. */
      readonly scenario: string;
      /** One of its details, or `median`, its rate. */
      readonly figure: string;
      /** Another detail, to divide it by. */
      readonly per?: string;
      /**
       * `figure` is the constant itself, `rate` what was done in a second. Cores busy by a rate are the cost of one,
       * microseconds.
       */
      readonly as: 'figure' | 'rate' | 'microseconds of busy cores';
    }
  /** A column of the table in docs/memory.md. */
  | { readonly memory: string }
  /** Not measured by anything that is kept in bench/results; the docstring says what it rests on. */
  | 'assumed';

interface Constant {
  readonly value: number;
  readonly from: Source;
}

export const measured = {
  /** Redis' CPU for a counter update in large micro-batches, its share of claim and ack included, microseconds. */
  redisMicrosPerUpdate: {
    value: 3,
    from: { scenario: 'counters', figure: 'redisCpuMicrosPerUpdate', as: 'figure' },
  },
  /** The same for a ledger entry, or a counter update with an id, which is never summed with others. */
  redisMicrosPerEntry: {
    value: 17,
    from: { scenario: 'points', figure: 'redisCpuMicrosPerUpdate', as: 'figure' },
  },
  /**
   * Redis' CPU for an apply call beside what its updates cost, microseconds: 42 for a call of two updates, by INFO's
   * used_cpu over 24,000 of them, sixteen under way.
   */
  redisMicrosPerCall: { value: 40, from: 'assumed' },
  /**
   * Redis' CPU for a flush of a partition that holds next to nothing, microseconds: flush job, claim, watermark check,
   * ack. INFO's used_cpu over 500 of them: 460 to 490, while other programs ran on the machine.
   */
  redisMicrosPerFlush: { value: 500, from: 'assumed' },

  /** A pending counter key with a name of 20 bytes, bytes of Redis. */
  pendingKeyBytes: { value: 138, from: { memory: 'pending counter key' } },
  /** A pending entry, account of 16 bytes, id of 12, without reason and metadata, bytes of Redis. */
  pendingEntryBytes: { value: 341, from: { memory: 'pending entry' } },
  /** A remembered id of a counter update, of 12 bytes, bytes of Redis. */
  counterIdBytes: { value: 122, from: { memory: 'counter id' } },
  /** A remembered id of an entry that is in MySQL, of 12 bytes, bytes of Redis. */
  entryIdBytes: { value: 175, from: { memory: 'id of an entry in MySQL' } },
  /** A live value or balance with a name of 20 bytes, bytes of Redis. */
  liveValueBytes: { value: 149, from: { memory: 'live value' } },
  /** Redis itself, BullMQ, connections, last replies: bytes. Generous. */
  redisBaseBytes: { value: 64 * 1024 * 1024, from: 'assumed' },

  /** Counter rows a second of one worker process that shares two cores with Redis and MySQL. */
  workerRowsPerSecond: {
    value: 135_000,
    from: { scenario: 'flush', figure: 'rowsPerSecond', as: 'rate' },
  },
  /** Ledger entries a second of one such worker, with a producer beside it. */
  workerEntriesPerSecond: { value: 31_000, from: { scenario: 'points', figure: 'median', as: 'rate' } },

  /** MySQL's CPU for an upserted counter row, microseconds, its share of commits included. */
  mysqlMicrosPerRow: {
    value: 13,
    from: {
      scenario: 'counters',
      figure: 'mysqlCores',
      per: 'rowsPerSecond',
      as: 'microseconds of busy cores',
    },
  },
  /** The same for a ledger entry and its share of a balance. */
  mysqlMicrosPerEntry: {
    value: 25,
    from: { scenario: 'points', figure: 'mysqlCores', per: 'median', as: 'microseconds of busy cores' },
  },
  /** MySQL's CPU for a durable commit, microseconds. A bound: the statement is in it. */
  mysqlMicrosPerCommit: {
    value: 180,
    from: {
      scenario: 'upsert-per-update',
      figure: 'mysqlCores',
      per: 'median',
      as: 'microseconds of busy cores',
    },
  },
  /** A row of counters or accounts in InnoDB's buffer pool beside its key, bytes: columns, row header, pages two thirds full. */
  mysqlRowBytes: { value: 150, from: 'assumed' },
} as const satisfies Record<string, Constant>;
