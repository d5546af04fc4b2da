/**
 * The constants of `sluice plan`, each with its source. After new measurements change them here, then run
 * `npm run generate`: a unit test compares them with the newest bench/results and with docs/memory.md.
 */

/** Where a constant comes from. */
export type Source =
  | {
      /** Name of a scenario of bench/README.md. */
      readonly scenario: string;
      /** One of its details, or `median`, its rate. */
      readonly figure: string;
      /** Another detail that divides it. */
      readonly per?: string;
      /**
       * `figure`: the constant itself. `rate`: operations a second. Busy cores divided by a rate are the cost
       * of one operation, microseconds.
       */
      readonly as: 'figure' | 'rate' | 'microseconds of busy cores';
    }
  /** A column of the table in docs/memory.md. */
  | { readonly memory: string }
  /** No result in bench/results measures it; the docstring says where it comes from. */
  | 'assumed';

interface Constant {
  readonly value: number;
  readonly from: Source;
}

export const measured = {
  /** Redis' CPU for a counter update in large micro-batches, microseconds, with its share of claim and ack. */
  redisMicrosPerUpdate: {
    value: 3,
    from: { scenario: 'counters', figure: 'redisCpuMicrosPerUpdate', as: 'figure' },
  },
  /** The same for a ledger entry, or a counter update with an id, which is never summed with others. */
  redisMicrosPerEntry: {
    value: 16,
    from: { scenario: 'points', figure: 'redisCpuMicrosPerUpdate', as: 'figure' },
  },
  /**
   * Redis' CPU for an apply call without its micro-batches, microseconds. INFO's used_cpu over 6,000 calls of
   * two updates for each of 4 partitions, four at a time: 111 a call; of 16 partitions 372.
   */
  redisMicrosPerCall: { value: 24, from: 'assumed' },
  /** The same for each micro-batch of a call, without its updates. */
  redisMicrosPerMicroBatch: { value: 16, from: 'assumed' },
  /**
   * Redis' CPU for a flush job, microseconds. INFO's used_cpu over 240 flush jobs, less what an idle server
   * takes: 470 a job of one partition, 860 of 4.
   */
  redisMicrosPerJob: { value: 350, from: 'assumed' },
  /** The same for the flush of a nearly empty partition: claim, watermark check, ack. */
  redisMicrosPerFlush: { value: 130, from: 'assumed' },

  /** A pending counter key with a name of 20 bytes, bytes of Redis. */
  pendingKeyBytes: { value: 141, from: { memory: 'pending counter key' } },
  /** A pending entry, account of 16 bytes, id of 12, without reason and metadata, bytes of Redis. */
  pendingEntryBytes: { value: 341, from: { memory: 'pending entry' } },
  /** A remembered id of a counter update, of any length, bytes of Redis. */
  counterIdBytes: { value: 29, from: { memory: 'counter id' } },
  /** A remembered id of an entry that is in MySQL, of 12 bytes, bytes of Redis. */
  entryIdBytes: { value: 182, from: { memory: 'id of an entry in MySQL' } },
  /** A live value or balance with a name of 20 bytes, bytes of Redis. */
  liveValueBytes: { value: 83, from: { memory: 'live value' } },
  /** A member of a board of ranks with a name of 20 bytes, bytes of Redis. */
  memberBytes: { value: 128, from: { memory: 'member of a board' } },
  /** Redis' CPU for the score of an update, microseconds more: scenario `ranks`, 62,500 members a partition. */
  redisMicrosPerScore: { value: 3.5, from: 'assumed' },
  /** Redis itself, BullMQ, connections, last replies: bytes. Generous. */
  redisBaseBytes: { value: 64 * 1024 * 1024, from: 'assumed' },

  /** Counter rows a second of one worker process that shares two cores with Redis and MySQL. */
  workerRowsPerSecond: {
    value: 140_000,
    from: { scenario: 'flush', figure: 'rowsPerSecond', as: 'rate' },
  },
  /** Ledger entries a second of one such worker, with a producer beside it. */
  workerEntriesPerSecond: { value: 32_000, from: { scenario: 'points', figure: 'median', as: 'rate' } },

  /** MySQL's CPU for an upserted counter row, microseconds, its share of commits included. */
  mysqlMicrosPerRow: {
    value: 11,
    from: {
      scenario: 'counters',
      figure: 'mysqlCores',
      per: 'rowsPerSecond',
      as: 'microseconds of busy cores',
    },
  },
  /** The same for a ledger entry and its share of a balance. */
  mysqlMicrosPerEntry: {
    value: 27,
    from: { scenario: 'points', figure: 'mysqlCores', per: 'median', as: 'microseconds of busy cores' },
  },
  /** MySQL's CPU for a durable commit, microseconds. An upper bound, since it includes the statement. */
  mysqlMicrosPerCommit: {
    value: 160,
    from: {
      scenario: 'upsert-per-update',
      figure: 'mysqlCores',
      per: 'median',
      as: 'microseconds of busy cores',
    },
  },
  /** A row of counters or accounts in InnoDB's buffer pool without its key, bytes; pages two thirds full. */
  mysqlRowBytes: { value: 150, from: 'assumed' },
} as const satisfies Record<string, Constant>;
