-- Values of these keys, those in quarantine, and the watermark, in one snapshot. A value or version is null if there
-- is none. Parameters: JSON rows [name, key], partition.
SELECT j.name, j.item_key, 0 AS isChanged, v.{value} AS value, v.version, {quarantined} AS quarantined,
  p.sequence, p.token, p.epoch
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  name VARBINARY({LIMITS.name}) PATH '$[0]', item_key VARBINARY({length}) PATH '$[1]')) j
JOIN sluice_partitions p ON p.partition_id = ?
LEFT JOIN {table} v ON v.{name} = j.name AND v.{key} = j.item_key
