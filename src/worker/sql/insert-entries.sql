-- Writes ledger rows. One parameter: JSON rows [partition, ledger_no, program, account, entry_id, amount,
-- balance_after, reason, metadata as text, acceptance, ms].
-- FROM_UNIXTIME would depend on the session's time zone, and `/` on its precision.
INSERT INTO sluice_entries
  (partition_id, ledger_no, program, account, entry_id, amount, balance_after, reason, metadata, created_at)
SELECT j.partition_id, j.ledger_no, j.program, j.account, j.entry_id, j.amount, j.balance_after, j.reason, j.metadata,
  TIMESTAMPADD(MICROSECOND, j.accepted_ms * 1000, TIMESTAMP'1970-01-01 00:00:00')
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  partition_id SMALLINT UNSIGNED PATH '$[0]', ledger_no BIGINT UNSIGNED PATH '$[1]', program VARBINARY({LIMITS.name}) PATH '$[2]',
  account VARBINARY({LIMITS.account}) PATH '$[3]', entry_id VARBINARY({LIMITS.id}) PATH '$[4]', amount BIGINT PATH '$[5]',
  balance_after BIGINT PATH '$[6]', reason VARCHAR({LIMITS.reason}) CHARACTER SET utf8mb4 PATH '$[7]',
  metadata LONGTEXT CHARACTER SET utf8mb4 PATH '$[8]', accepted_ms BIGINT PATH '$[9]')) j
