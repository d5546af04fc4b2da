-- Adds sums to counters or balances. One parameter: JSON rows [name, key, amount], sorted by key.
INSERT INTO {table} ({name}, {key}, {value}, updated_at)
SELECT j.name, j.item_key, j.amount, UTC_TIMESTAMP(3)
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  name VARBINARY({LIMITS.name}) PATH '$[0]', item_key VARBINARY({length}) PATH '$[1]', amount BIGINT PATH '$[2]')) j
ON DUPLICATE KEY UPDATE {value} = {table}.{value} + j.amount, updated_at = UTC_TIMESTAMP(3)
