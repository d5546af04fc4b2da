-- Finds the puts that are superseded: the table has the same put, or one that is kept instead.
-- One parameter: JSON rows [name, key, version, value].
SELECT STRAIGHT_JOIN j.name, j.item_key
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  name VARBINARY({LIMITS.name}) PATH '$[0]', item_key VARBINARY({LIMITS.key}) PATH '$[1]', version BIGINT UNSIGNED PATH '$[2]',
  amount BIGINT PATH '$[3]')) j
JOIN sluice_values v ON v.name = j.name AND v.value_key = j.item_key
WHERE v.version > j.version OR (v.version = j.version AND v.value >= j.amount)
