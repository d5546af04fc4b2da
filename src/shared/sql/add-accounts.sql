-- Adds sums to balances. One parameter: JSON rows [program, account, amount], sorted by account.
INSERT INTO sluice_accounts (program, account, balance, updated_at)
SELECT j.name, j.item_key, j.amount, UTC_TIMESTAMP(3)
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  name VARBINARY({LIMITS.name}) PATH '$[0]', item_key VARBINARY({LIMITS.account}) PATH '$[1]', amount BIGINT PATH '$[2]')) j
ON DUPLICATE KEY UPDATE balance = sluice_accounts.balance + j.amount, updated_at = UTC_TIMESTAMP(3)
