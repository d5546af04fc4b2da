-- As insert-entries.sql, for entries of which some are of transfers: transfer and other account are the last two
-- values of a row, or null.
INSERT INTO sluice_entries
  (partition_id, ledger_no, program, account, entry_id, amount, balance_after, reason, metadata, created_at, transfer, other_account)
SELECT j.partition_id, j.ledger_no, j.program, j.account, j.entry_id, j.amount, j.balance_after, j.reason, j.metadata,
  TIMESTAMPADD(MICROSECOND, j.accepted_ms * 1000, TIMESTAMP'1970-01-01 00:00:00'), j.transfer, j.other_account
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  partition_id SMALLINT UNSIGNED PATH '$[0]', ledger_no BIGINT UNSIGNED PATH '$[1]', program VARBINARY({LIMITS.name}) PATH '$[2]',
  account VARBINARY({LIMITS.account}) PATH '$[3]', entry_id VARBINARY({LIMITS.id}) PATH '$[4]', amount BIGINT PATH '$[5]',
  balance_after BIGINT PATH '$[6]', reason VARCHAR({LIMITS.reason}) CHARACTER SET utf8mb4 PATH '$[7]',
  metadata LONGTEXT CHARACTER SET utf8mb4 PATH '$[8]', accepted_ms BIGINT PATH '$[9]',
  transfer VARBINARY({LIMITS.transfer}) PATH '$[10]', other_account VARBINARY({LIMITS.account}) PATH '$[11]')) j
