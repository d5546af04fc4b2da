-- Values of these keys, those in quarantine, and the watermark, in one snapshot; see mapped-read.sql. The version is
-- in Sluice's own row. Parameters: JSON rows [name, key, parts], partition.
SELECT j.name, j.item_key, IF({changedKeys}, 1, 0) AS isChanged, {shownColumn} AS value, v.version,
  {quarantined} AS quarantined, p.sequence, p.token, p.epoch
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  name VARBINARY({LIMITS.name}) PATH '$[0]', item_key VARBINARY({LIMITS.key}) PATH '$[1]', {typedKeysAndTexts})) j
JOIN sluice_partitions p ON p.partition_id = ?
LEFT JOIN {table} t ON {sameKeys}
LEFT JOIN sluice_values v ON v.name = j.name AND v.value_key = j.item_key
