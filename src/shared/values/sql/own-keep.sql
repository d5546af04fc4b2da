-- Puts values: the rule of their kind keeps the new one or the old one. One parameter: JSON rows
-- [name, key, value, version], sorted by key. `version` comes last, since the rule may compare it.
INSERT INTO {table} ({name}, {key}, {value}, version, updated_at)
SELECT j.name, j.item_key, j.amount, j.version, UTC_TIMESTAMP(3)
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  name VARBINARY({LIMITS.name}) PATH '$[0]', item_key VARBINARY({length}) PATH '$[1]', amount BIGINT PATH '$[2]',
  version BIGINT UNSIGNED PATH '$[3]')) j
ON DUPLICATE KEY UPDATE updated_at = IF({replaces}, UTC_TIMESTAMP(3), {table}.updated_at),
  {value} = IF({replaces}, j.amount, {table}.{value}), version = GREATEST({table}.version, j.version)
