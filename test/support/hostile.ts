/**
 * The worst possible servers: every variable of the session catalogue that the server has, and many others,
 * at odd values at once, and the smallest limits on requests and replies. They are set after the start, one
 * at a time, so that a refused value is an error; mysqld takes some by SET only.
 */
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { sessionVariables } from '../../src/shared/mysql/session-variables.ts';

type Flavour = 'mariadb' | 'mysql97';

/** Options for Redis and Valkey. */
export const hostileRedis = [
  ...['--client-output-buffer-limit', 'normal 1mb 0 0'],
  ...['--client-query-buffer-limit', '1mb', '--proto-max-bulk-len', '1mb'],
];

/** MySQL must know the case of table names when it creates its data folder. */
export const hostileInitialArgs = ['--lower-case-table-names=1'];

export function hostileMysql(flavour: Flavour): string[] {
  return [
    ...['--character-set-server=latin1', '--collation-server=latin1_general_cs'],
    ...['--max-allowed-packet=1M', '--default-time-zone=+09:00', '--innodb-rollback-on-timeout=ON'],
    '--innodb-default-row-format=compact',
    ...(flavour === 'mariadb'
      ? ['--skip-character-set-client-handshake', '--query-cache-type=1', '--query-cache-size=1M']
      : []),
  ];
}

/** SQL of the global values that the administrator sets. */
const ODD: Readonly<Record<string, string>> = {
  // In the catalogue.
  session_track_system_variables: "''",
  sql_mode:
    "'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,IGNORE_SPACE,HIGH_NOT_PRECEDENCE,PAD_CHAR_TO_FULL_LENGTH,NO_UNSIGNED_SUBTRACTION,REAL_AS_FLOAT'",
  autocommit: '0',
  completion_type: 'CHAIN',
  transaction_isolation: 'SERIALIZABLE',
  tx_isolation: 'SERIALIZABLE',
  transaction_read_only: '1',
  tx_read_only: '1',
  innodb_snapshot_isolation: '1',
  wait_timeout: '2',
  idle_transaction_timeout: '1',
  idle_readonly_transaction_timeout: '1',
  idle_write_transaction_timeout: '1',
  innodb_lock_wait_timeout: '1',
  lock_wait_timeout: '1',
  max_execution_time: '50',
  max_statement_time: '0.1',
  net_read_timeout: '1',
  net_write_timeout: '1',
  sql_select_limit: '1',
  max_join_size: '1',
  sql_big_selects: '0',
  sql_safe_updates: '1',
  sql_auto_is_null: '1',
  max_sort_length: '4',
  foreign_key_checks: '0',
  unique_checks: '0',
  check_constraint_checks: '0',
  range_optimizer_max_mem_size: '1',
  in_predicate_conversion_threshold: '2',
  optimizer_max_sel_arg_weight: '1',
  optimizer_max_sel_args: '1',
  system_versioning_asof: "'2020-01-01 00:00:00'",
  query_cache_type: '1',
  parser_max_mem_size: '10000000',
  max_session_mem_used: '4000000',
  tmp_disk_table_size: '1024',
  sql_if_exists: '1',
  alter_algorithm: "'NOCOPY'",
  // Not in the catalogue.
  explicit_defaults_for_timestamp: '0',
  div_precision_increment: '0',
  group_concat_max_len: '4',
  lc_time_names: "'ja_JP'",
  default_week_format: '3',
  sort_buffer_size: '32768',
  join_buffer_size: '128',
  read_buffer_size: '8192',
  tmp_table_size: '1024',
  max_heap_table_size: '16384',
  big_tables: '1',
  max_seeks_for_key: '1',
  eq_range_index_dive_limit: '1',
  optimizer_search_depth: '1',
  optimizer_prune_level: '0',
  updatable_views_with_limit: '0',
  cte_max_recursion_depth: '1',
  max_recursive_iterations: '1',
  sql_quote_show_create: '0',
  innodb_strict_mode: '0',
  net_buffer_length: '1024',
  max_error_count: '0',
  old_mode: "'NO_DUP_KEY_WARNINGS_WITH_IGNORE,NO_PROGRESS_INFO,ZERO_DATE_TIME_CAST'",
};

/**
 * Variables of the catalogue that only a session has, or that each handshake sets again; set by init_connect.
 */
const ODD_IN_INIT_CONNECT: Readonly<Record<string, string>> = {
  character_set_client: 'latin1',
  character_set_connection: 'latin1',
  collation_connection: 'latin1_bin',
  character_set_results: 'latin1',
  timestamp: '1000000000',
};

/** Variables of the catalogue for clusters and other engines, which topology tests cover. */
const LEFT: readonly string[] = [
  'use_secondary_engine',
  'wsrep_sync_wait',
  'wsrep_dirty_reads',
  'wsrep_osu_method',
  'group_replication_consistency',
  // Only administrators may set it.
  'skip_replication',
  // The server refuses STATEMENT.
  'binlog_format',
];

/** @param url for the administrator */
export async function makeHostile(url: string): Promise<void> {
  const admin = await createConnection(url);
  const [rows] = await admin.query<RowDataPacket[]>('SHOW VARIABLES');
  const names = new Set(rows.map(row => String(row.Variable_name).toLowerCase()));
  const has = ([name]: [string, string]) => names.has(name);
  const odd = { ...ODD, ...ODD_IN_INIT_CONNECT };
  for (const variable of sessionVariables) {
    const name = variable.names.find(candidate => names.has(candidate));
    if (name !== undefined && odd[name] === undefined && !LEFT.includes(name))
      throw new Error(
        `hostile.ts has no odd value for ${name}, which the catalogue of session variables has`,
      );
  }
  for (const [name, value] of Object.entries(ODD).filter(has)) {
    await admin.query(`SET GLOBAL ${name} = ${value}`);
  }
  const own = Object.entries(ODD_IN_INIT_CONNECT).map(([name, value]) => `@@SESSION.${name} = ${value}`);
  await admin.query('SET GLOBAL init_connect = ?', [`SET ${own.join(', ')}`]);
  await admin.end();
}
