/**
 * Session variables that Sluice does not set, with the reasons why that does no harm. Together with
 * session-variables.ts these are all session variables of MySQL 8.0 to 9.7 and MariaDB 10.6 to 11; a test
 * compares them with real servers.
 */

const list = (names: string) => names.trim().split(/\s+/);

export const leftAlone: readonly { readonly why: string; readonly names: readonly string[] }[] = [
  {
    why: "The zone is the user's: `DEFAULT`, `ON UPDATE` and `NOW()` of mapped tables and their triggers follow it. Sluice writes and reads its own times as UTC, without the zone",
    names: list('time_zone'),
  },
  {
    why: 'Defaults for tables, columns and texts that do not name theirs; those of Sluice do',
    names:
      list(`character_set_server collation_server character_set_database collation_database character_set_filesystem
      default_collation_for_utf8mb4 character_set_collations default_storage_engine storage_engine default_tmp_storage_engine
      enforce_storage_engine default_table_encryption explicit_defaults_for_timestamp innodb_strict_mode
      innodb_compression_default innodb_default_encryption_key_id sql_require_primary_key
      sql_generate_invisible_primary_key show_gipk_in_create_table_and_information_schema restrict_fk_on_non_standard_key
      old_alter_table external_table_storage_engine external_table_secondary_storage_engine innodb_alter_copy_bulk`),
  },
  {
    why: 'They belong to statements and functions that Sluice does not use, or to other storage engines',
    names: list(`block_encryption_mode cte_max_recursion_depth max_recursive_iterations standard_compliant_cte
      default_week_format default_regex_flags div_precision_increment group_concat_max_len lc_time_names rand_seed1 rand_seed2
      windowing_use_high_precision updatable_views_with_limit max_sp_recursion_depth max_points_in_geometry
      max_insert_delayed_threads max_delayed_threads low_priority_updates innodb_table_locks innodb_ft_enable_stopword
      innodb_ft_user_stopword_table keep_files_on_create sql_quote_show_create show_create_table_verbosity
      show_create_table_skip_secondary_engine print_identified_with_as_hex generated_random_password_length old_passwords
      explain_format explain_json_format_version end_markers_in_json xa_detach_on_prepare select_into_buffer_size
      select_into_disk_sync select_into_disk_sync_delay transaction_allow_batching bulk_insert_buffer_size
      myisam_sort_buffer_size myisam_stats_method myisam_repair_threads aria_repair_threads aria_sort_buffer_size
      aria_stats_method deadlock_search_depth_long deadlock_search_depth_short deadlock_timeout_long deadlock_timeout_short
      preload_buffer_size column_compression_threshold column_compression_zlib_level column_compression_zlib_strategy
      column_compression_zlib_wrap system_versioning_alter_history system_versioning_insert_history
      mhnsw_ef_search mhnsw_default_distance mhnsw_default_m last_insert_id identity old old_mode new_mode
      query_cache_strip_comments query_cache_wlock_invalidate note_verbosity create_tmp_table_binlog_formats`),
  },
  {
    why: 'They decide how a plan is found and how much memory it gets. Statements that lock name their index and the order of their tables',
    names: list(`optimizer_switch optimizer_prune_level optimizer_search_depth optimizer_max_subgraph_pairs
      optimizer_use_condition_selectivity optimizer_selectivity_sampling_limit optimizer_adjust_secondary_key_costs
      optimizer_extra_pruning_depth optimizer_join_limit_pref_ratio eq_range_index_dive_limit max_seeks_for_key
      expensive_subquery_limit join_cache_level join_buffer_size join_buffer_space_limit sort_buffer_size read_buffer_size
      read_rnd_buffer_size mrr_buffer_size rowid_merge_buff_size max_rowid_filter_size max_length_for_sort_data
      set_operations_buffer_size sql_buffer_result big_tables tmp_table_size tmp_memory_table_size max_heap_table_size
      max_tmp_tables internal_tmp_mem_storage_engine innodb_tmpdir innodb_ddl_buffer_size innodb_ddl_threads
      innodb_parallel_read_threads query_alloc_block_size query_prealloc_size range_alloc_block_size
      transaction_alloc_block_size transaction_prealloc_size secondary_engine_cost_threshold
      enable_secondary_engine_statistics use_stat_tables histogram_size histogram_type histogram_generation_max_mem_size
      analyze_max_length analyze_sample_percentage information_schema_stats_expiry optimizer_disk_read_ratio
      optimizer_disk_setup_cost optimizer_index_block_copy_cost optimizer_key_compare_cost optimizer_key_copy_cost
      optimizer_key_lookup_cost optimizer_key_next_find_cost optimizer_row_copy_cost optimizer_row_lookup_cost
      optimizer_row_next_find_cost optimizer_rowid_compare_cost optimizer_rowid_copy_cost optimizer_scan_setup_cost
      optimizer_where_cost`),
  },
  {
    why: 'Limits of an administrator; their errors have their own codes',
    names:
      list(`connection_memory_limit connection_memory_chunk_size global_connection_memory_tracking max_user_connections
      max_tmp_session_space_usage require_row_format`),
  },
  {
    why: 'They decide what the server logs, shows or traces',
    names:
      list(`long_query_time slow_query_log log_slow_query log_slow_query_time log_slow_filter log_slow_verbosity
      log_slow_rate_limit log_slow_max_warnings log_slow_min_examined_row_limit min_examined_row_limit
      log_slow_admin_statements log_slow_disabled_statements log_slow_slave_statements log_slow_always_query_time
      log_queries_not_using_indexes log_disabled_statements log_warnings sql_log_off sql_notes sql_warnings max_error_count
      lc_messages profiling profiling_history_size progress_report_time optimizer_trace optimizer_trace_features
      optimizer_trace_limit optimizer_trace_max_mem_size optimizer_trace_offset terminology_use_previous userstat`),
  },
  {
    why: 'The driver does not use them, or they only add information',
    names: list(`resultset_metadata session_track_gtids session_track_schema session_track_state_change
      session_track_transaction_info interactive_timeout net_buffer_length net_retry_count max_allowed_packet tcp_nodelay
      thread_pool_priority redirect_url`),
  },
  {
    why: 'They decide how changes reach replicas and other nodes; only administrators and replication set most of them',
    names:
      list(`binlog_row_image binlog_row_value_options binlog_rows_query_log_events binlog_annotate_row_events
      binlog_direct_non_transactional_updates binlog_transaction_compression binlog_transaction_compression_level_zstd
      binlog_alter_two_phase sql_log_bin gtid_next gtid_domain_id gtid_seq_no server_id original_commit_timestamp
      original_server_version immediate_server_version pseudo_thread_id pseudo_slave_mode pseudo_replica_mode rbr_exec_mode
      default_master_connection max_relay_log_size skip_parallel_replication sql_slave_skip_counter
      transaction_write_set_extraction wsrep_on wsrep_causal_reads wsrep_retry_autocommit wsrep_trx_fragment_size
      wsrep_trx_fragment_unit wsrep_gtid_seq_no`),
  },
  {
    why: 'They number quarantined updates: any step gives unique numbers, and Galera chooses the steps itself',
    names: list('auto_increment_increment auto_increment_offset insert_id'),
  },
  {
    why: 'It decides whether foreign keys of your tables fire your triggers',
    names: list('enable_cascade_triggers'),
  },
];
