-- Writes ledger rows. Parameters: partition, then JSON rows
-- [ledger_no, program, account, entry_id, amount, balance_after, reason, metadata as text, acceptance, ms].
-- FROM_UNIXTIME would depend on the session's time zone, and `/` on its precision.
INSERT INTO sluice_entries
  (partition_id, ledger_no, program, account, entry_id, amount, balance_after, reason, metadata, created_at)
SELECT ?, j.ledger_no, j.program, j.account, j.entry_id, j.amount, j.balance_after, j.reason, j.metadata,
  TIMESTAMPADD(MICROSECOND, j.accepted_ms * 1000, TIMESTAMP'1970-01-01 00:00:00')
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  ledger_no BIGINT UNSIGNED PATH '$[0]', program VARBINARY({LIMITS.name}) PATH '$[1]', account VARBINARY({LIMITS.account}) PATH '$[2]',
  entry_id VARBINARY({LIMITS.id}) PATH '$[3]', amount BIGINT PATH '$[4]', balance_after BIGINT PATH '$[5]',
  reason VARCHAR({LIMITS.reason}) CHARACTER SET utf8mb4 PATH '$[6]', metadata LONGTEXT CHARACTER SET utf8mb4 PATH '$[7]',
  accepted_ms BIGINT PATH '$[8]')) j
