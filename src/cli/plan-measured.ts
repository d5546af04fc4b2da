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
       * microseconds. Of a rate that nobody took apart, the cost of one cannot be more than all of a core, or all cores,
       * of that second.
       */
      readonly as:
        | 'figure'
        | 'rate'
        | 'microseconds of busy cores'
        | 'microseconds of one core'
        | 'microseconds of all cores';
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
  /**
   * Redis' CPU for a counter update in large micro-batches, its share of claim and ack included, microseconds.
   * A bound: the scenario's rate is what one thread of Redis took, at most all of a core.
   */
  redisMicrosPerUpdate: {
    value: 7.5,
    from: { scenario: 'counters', figure: 'acknowledgedPerSecond', as: 'microseconds of one core' },
  },
  /** The same for a ledger entry, or a counter update with an id, which is never summed with others. A bound likewise. */
  redisMicrosPerEntry: {
    value: 32.5,
    from: { scenario: 'points', figure: 'acknowledgedPerSecond', as: 'microseconds of one core' },
  },
  /**
   * Redis' CPU for an apply call beside what its updates cost, microseconds. INFO's used_cpu over 4,800 calls of one
   * update each, sixteen under way: 40 to 50, while other programs ran on the machine. Calls one after another: 60.
   */
  redisMicrosPerCall: { value: 50, from: 'assumed' },
  /**
   * Redis' CPU for a flush of a partition that holds next to nothing, microseconds: flush job, claim, watermark check,
   * ack. INFO's used_cpu over 500 of them: 460 to 490, while other programs ran on the machine.
   */
  redisMicrosPerFlush: { value: 500, from: 'assumed' },

  /** A pending counter key with a name of 20 bytes, bytes of Redis. */
  pendingKeyBytes: { value: 139, from: { memory: 'pending counter key' } },
  /** A pending entry, account of 16 bytes, id of 12, without reason and metadata, bytes of Redis. */
  pendingEntryBytes: { value: 341, from: { memory: 'pending entry' } },
  /** A remembered id of a counter update, of 12 bytes, bytes of Redis. */
  counterIdBytes: { value: 122, from: { memory: 'counter id' } },
  /** A remembered id of an entry that is in MySQL, of 12 bytes, bytes of Redis. */
  entryIdBytes: { value: 186, from: { memory: 'id of an entry in MySQL' } },
  /** A live value or balance with a name of 20 bytes, bytes of Redis. */
  liveValueBytes: { value: 148, from: { memory: 'live value' } },
  /** Redis itself, BullMQ, connections, replies remembered for two seconds: bytes. Generous. */
  redisBaseBytes: { value: 64 * 1024 * 1024, from: 'assumed' },

  /** Counter rows a second of one worker process that shares two cores with Redis, MySQL and a producer. */
  workerRowsPerSecond: {
    value: 44_000,
    from: { scenario: 'counters', figure: 'rows', per: 'seconds', as: 'rate' },
  },
  /** Ledger entries a second of one such worker. */
  workerEntriesPerSecond: { value: 27_500, from: { scenario: 'points', figure: 'median', as: 'rate' } },

  /** MySQL's CPU for an upserted counter row, microseconds. A bound: both cores of the bare upsert, its client included. */
  mysqlMicrosPerRow: {
    value: 13,
    from: { scenario: 'bulk-upsert', figure: 'rows', per: 'seconds', as: 'microseconds of all cores' },
  },
  /** The same for a ledger entry and its share of a balance. A bound: producer, Redis and worker are in it. */
  mysqlMicrosPerEntry: {
    value: 72,
    from: { scenario: 'points', figure: 'median', as: 'microseconds of all cores' },
  },
  /** MySQL's CPU for a durable commit, microseconds. A bound: the statement and its client are in it. */
  mysqlMicrosPerCommit: {
    value: 310,
    from: { scenario: 'upsert-per-update', figure: 'median', as: 'microseconds of all cores' },
  },
  /** A row of counters or accounts in InnoDB's buffer pool beside its key, bytes: columns, row header, pages two thirds full. */
  mysqlRowBytes: { value: 150, from: 'assumed' },
} as const satisfies Record<string, Constant>;
