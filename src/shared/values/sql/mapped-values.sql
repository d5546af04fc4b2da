-- Values of a mapped column. Needs no lock: it runs after the statement that changed, and so locked, the
-- rows. One parameter: JSON rows [name, key, parts].
SELECT STRAIGHT_JOIN j.name, j.item_key, COALESCE(t.{column}, 0) AS value
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  name VARBINARY({LIMITS.name}) PATH '$[0]', item_key VARBINARY({LIMITS.key}) PATH '$[1]', {typedKeysAndTexts})) j
JOIN {table} t ON {sameKeys}
