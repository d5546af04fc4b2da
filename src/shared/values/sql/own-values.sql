-- Values of these keys. Needs no lock: it runs after the statement that changed, and so locked, the rows.
-- One parameter: JSON rows [name, key].
SELECT STRAIGHT_JOIN j.name, j.item_key, v.{value} AS value
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  name VARBINARY({LIMITS.name}) PATH '$[0]', item_key VARBINARY({length}) PATH '$[1]')) j
JOIN {table} v ON v.{name} = j.name AND v.{key} = j.item_key
