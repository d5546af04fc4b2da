-- Adds sums to counters. One parameter: JSON rows [counter, key, amount], sorted by key.
INSERT INTO sluice_counters (counter, counter_key, value, updated_at)
SELECT j.name, j.item_key, j.amount, UTC_TIMESTAMP(3)
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  name VARBINARY({LIMITS.name}) PATH '$[0]', item_key VARBINARY({LIMITS.key}) PATH '$[1]', amount BIGINT PATH '$[2]')) j
ON DUPLICATE KEY UPDATE value = sluice_counters.value + j.amount, updated_at = UTC_TIMESTAMP(3)
