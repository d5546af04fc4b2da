/**
 * Session variables of MySQL and MariaDB that can change the meaning, result, locks or duration of a
 * statement, each with the value that Sluice sets. docs/configuration.md shows them as a table.
 */

import { LIMITS } from '../limits.ts';

export interface SessionTimes {
  /** wait_timeout of the session: how long a silent session may keep its locks, seconds. */
  readonly idleTransactionSeconds: number;
  /** Timeout of a wait for a row lock, seconds. */
  readonly lockWaitSeconds: number;
  /** Timeout of a wait for a metadata lock of a table, seconds; `lockWaitSeconds` by default. */
  readonly metadataLockWaitSeconds?: number | undefined;
}

export interface SessionVariable {
  /** Its names on different servers; the first one that a server has is used. */
  readonly names: readonly string[];
  /** SQL of the value, or a function of the times; undefined if the variable is only checked. */
  readonly set?: string | ((times: SessionTimes) => number);
  /** SQL expression that reads it; `@@SESSION.<name>` by default. */
  readonly read?: string;
  /**
   * Check of the value that is read back: `same` as set, one of a list (in any case), or a function.
   * Undefined if another value changes no result and only costs time or raises an error with its own code.
   */
  readonly must?:
    | 'same'
    | readonly string[]
    | ((value: string, server: ReadonlyMap<string, string>) => boolean);
  readonly why: string;
}

/** Strict modes, and none that changes the meaning of quotes, blanks or backslashes. */
const SQL_MODES = [
  'STRICT_ALL_TABLES',
  'ERROR_FOR_DIVISION_BY_ZERO',
  'NO_ZERO_DATE',
  'NO_ZERO_IN_DATE',
  'NO_AUTO_VALUE_ON_ZERO',
  'NO_ENGINE_SUBSTITUTION',
];
const NO_LIMIT = '18446744073709551615';
const OFF = ['0', 'OFF'];
const ON = ['1', 'ON'];

const hasSameModes = (value: string) => value.split(',').sort().join() === [...SQL_MODES].sort().join();

/** In the order in which they are set: some of them reset later ones. */
export const sessionVariables: readonly SessionVariable[] = [
  // The meaning of texts.
  {
    names: ['session_track_system_variables'],
    set: "'character_set_client,character_set_connection,character_set_results'",
    why: 'the driver encodes texts by the character_set_client that the server reports',
  },
  {
    names: ['character_set_client'],
    set: 'utf8mb4',
    must: ['utf8mb4'],
    why: 'another one stores other bytes of a key, or NULL for a text',
  },
  {
    names: ['character_set_connection'],
    set: 'utf8mb4',
    must: ['utf8mb4'],
    why: 'texts are converted to it before they are stored or compared',
  },
  {
    names: ['collation_connection'],
    set: 'utf8mb4_unicode_ci',
    must: 'same',
    why: 'texts that belong to no column compare by it',
  },
  {
    names: ['character_set_results'],
    set: 'utf8mb4',
    must: ['utf8mb4'],
    why: 'texts are converted to it when they are read',
  },
  {
    names: ['sql_mode'],
    set: `'${SQL_MODES}'`,
    must: hasSameModes,
    why: 'a strict mode refuses a value that does not fit; others cut it',
  },
  // Transactions.
  {
    names: ['autocommit'],
    set: '1',
    must: ON,
    why: 'without it, what is written outside a transaction is lost',
  },
  {
    names: ['completion_type'],
    set: 'NO_CHAIN',
    must: ['NO_CHAIN', '0'],
    why: 'with CHAIN a commit starts a transaction that nobody ends',
  },
  {
    names: ['transaction_isolation', 'tx_isolation'],
    set: "'READ-COMMITTED'",
    must: ['READ-COMMITTED'],
    why: 'it locks no gaps, and each statement reads values with their watermark',
  },
  { names: ['transaction_read_only', 'tx_read_only'], set: '0', must: OFF, why: 'Sluice has to write' },
  {
    names: ['innodb_snapshot_isolation'],
    set: '0',
    why: 'if on, locking a row that others changed fails (MariaDB)',
  },
  // Clocks and timeouts.
  {
    names: ['timestamp'],
    set: 'DEFAULT',
    read: 'ABS(TIMESTAMPDIFF(SECOND, NOW(), SYSDATE()))',
    must: value => Number(value) < 60,
    why: 'a fixed value stops the clock of the session',
  },
  {
    names: ['wait_timeout'],
    set: ({ idleTransactionSeconds }) => idleTransactionSeconds,
    must: 'same',
    why: 'frees the locks of a frozen process: `SLUICE_IDLE_TRANSACTION_SECONDS`',
  },
  {
    names: ['idle_transaction_timeout'],
    set: '0',
    why: 'wait_timeout already bounds a silent transaction (MariaDB)',
  },
  {
    names: ['idle_readonly_transaction_timeout'],
    set: '0',
    why: 'wait_timeout already bounds a silent transaction (MariaDB)',
  },
  {
    names: ['idle_write_transaction_timeout'],
    set: '0',
    why: 'wait_timeout already bounds a silent transaction (MariaDB)',
  },
  {
    names: ['innodb_lock_wait_timeout'],
    set: ({ lockWaitSeconds }) => lockWaitSeconds,
    must: 'same',
    why: 'limits how long a flush waits for a row: `SLUICE_LOCK_WAIT_SECONDS`',
  },
  {
    names: ['lock_wait_timeout'],
    set: ({ lockWaitSeconds, metadataLockWaitSeconds = lockWaitSeconds }) => metadataLockWaitSeconds,
    must: 'same',
    why: 'limits how long it waits for a table that is being altered or locked: `SLUICE_LOCK_WAIT_SECONDS`; `migrate` waits a minute',
  },
  {
    names: ['max_execution_time', 'max_statement_time'],
    set: '0',
    must: value => Number(value) === 0,
    why: '`SLUICE_STATEMENT_TIMEOUT_MS` ends a slow statement, not the server',
  },
  {
    names: ['net_read_timeout'],
    set: '30',
    why: 'limits how long the server waits for the rest of a statement',
  },
  {
    names: ['net_write_timeout'],
    set: '60',
    why: 'limits how long the server waits until its answer is read',
  },
  // The number of rows.
  {
    names: ['sql_select_limit'],
    set: NO_LIMIT,
    must: [NO_LIMIT],
    why: 'a limit cuts the result of a SELECT',
  },
  { names: ['max_join_size'], set: NO_LIMIT, must: [NO_LIMIT], why: 'a limit refuses joins by an estimate' },
  { names: ['sql_big_selects'], set: '1', must: ON, why: 'if off, joins are refused by an estimate' },
  { names: ['sql_safe_updates'], set: '0', must: OFF, why: 'if on, updates of a mapped table are refused' },
  { names: ['sql_auto_is_null'], set: '0', must: OFF, why: 'if on, IS NULL finds the row inserted last' },
  {
    names: ['max_sort_length'],
    set: String(Math.max(1024, LIMITS.key)),
    must: value => Number(value) >= Math.max(1024, LIMITS.key),
    why: `keys have up to ${LIMITS.key} bytes, and pages of keys are in their order`,
  },
  // Constraints.
  { names: ['foreign_key_checks'], set: '1', must: ON, why: 'the foreign keys of a mapped table must hold' },
  { names: ['unique_checks'], set: '1', must: ON, why: 'an entry counts once because its id is unique' },
  {
    names: ['check_constraint_checks'],
    set: '1',
    must: ON,
    why: 'a value that a CHECK forbids must be refused (MariaDB)',
  },
  // Locked rows: a plan that reads the whole table locks it.
  {
    names: ['range_optimizer_max_mem_size'],
    set: '0',
    must: ['0'],
    why: 'above the limit a list of keys becomes a scan of the table (MySQL)',
  },
  {
    names: ['in_predicate_conversion_threshold'],
    set: '0',
    must: ['0'],
    why: 'above the limit a list of keys becomes a join (MariaDB)',
  },
  {
    names: ['optimizer_max_sel_arg_weight'],
    set: '32000',
    why: 'above the limit a list of keys becomes a scan of the table (MariaDB)',
  },
  {
    names: ['optimizer_max_sel_args'],
    set: '16000',
    why: 'above the limit a list of keys becomes a scan of the table (MariaDB)',
  },
  // The version of the data that is read.
  {
    names: ['system_versioning_asof'],
    set: 'DEFAULT',
    must: ['DEFAULT'],
    why: 'a mapped table with history would show an old value (MariaDB)',
  },
  { names: ['query_cache_type'], set: '0', must: OFF, why: 'a cached result may be old (MariaDB)' },
  {
    names: ['use_secondary_engine'],
    set: "'OFF'",
    must: OFF,
    why: 'a copy in another engine may be old (MySQL HeatWave)',
  },
  {
    names: ['wsrep_sync_wait'],
    set: '@@SESSION.wsrep_sync_wait | 1',
    must: value => (Number(value) & 1) === 1,
    why: 'a node that lags would show an older watermark, which halts a partition (Galera); a larger value stays',
  },
  {
    names: ['wsrep_dirty_reads'],
    set: '0',
    must: OFF,
    why: 'a node that is cut off from its cluster would show old data (Galera)',
  },
  { names: ['wsrep_osu_method'], set: "'TOI'", must: ['TOI'], why: '`migrate` changes all nodes (Galera)' },
  {
    names: ['group_replication_consistency'],
    set: "IF(@@SESSION.group_replication_consistency = 'EVENTUAL', 'BEFORE_ON_PRIMARY_FAILOVER', @@SESSION.group_replication_consistency)",
    must: value => value !== 'EVENTUAL',
    why: 'a new primary must show its data only once it has all of it (Group Replication); a stronger value stays',
  },
  {
    names: ['skip_replication'],
    set: '0',
    must: OFF,
    why: 'if on, replicas may leave out the changes of the session (MariaDB)',
  },
  {
    names: ['binlog_format'],
    must: (value, server) => value !== 'STATEMENT' || !ON.includes(server.get('log_bin') ?? 'OFF'),
    why: 'InnoDB refuses READ COMMITTED with STATEMENT; set it to ROW',
  },
  // Memory limits, and limits of `migrate`.
  { names: ['parser_max_mem_size'], set: NO_LIMIT, why: 'the statement of a batch is long (MySQL)' },
  {
    names: ['max_session_mem_used'],
    set: '9223372036854775807',
    why: 'its error would be taken for an outage (MariaDB)',
  },
  { names: ['tmp_disk_table_size'], set: NO_LIMIT, why: 'JSON_TABLE fills a temporary table (MariaDB)' },
  {
    names: ['sql_if_exists'],
    set: '0',
    why: '`migrate` must not skip a missing table (MariaDB)',
  },
  {
    names: ['alter_algorithm'],
    set: "'DEFAULT'",
    why: 'other algorithms refuse some changes of tables (MariaDB)',
  },
];

/** Whether a value that was read back passes `must`. */
export function isAccepted(
  variable: SessionVariable,
  value: string,
  times: SessionTimes,
  server: ReadonlyMap<string, string>,
): boolean {
  const { must } = variable;
  if (must === undefined) return true;
  if (typeof must === 'function') return must(value, server);
  return must === 'same'
    ? value === sqlOf(variable, times)
    : must.includes(value.toUpperCase()) || must.includes(value);
}

/** SQL of the value to set. */
export function sqlOf({ set }: SessionVariable, times: SessionTimes): string {
  return typeof set === 'function' ? String(set(times)) : set!;
}
