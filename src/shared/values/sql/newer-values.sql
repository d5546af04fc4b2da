-- Which of these values have a version that is as high or higher. One parameter: JSON rows [name, key, version].
SELECT STRAIGHT_JOIN j.name, j.item_key
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  name VARBINARY({LIMITS.name}) PATH '$[0]', item_key VARBINARY({LIMITS.key}) PATH '$[1]', version BIGINT UNSIGNED PATH '$[2]')) j
JOIN sluice_values v ON v.name = j.name AND v.value_key = j.item_key
WHERE v.version >= j.version
