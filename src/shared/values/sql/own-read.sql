-- Values and quarantined sums of these keys, and the watermark, in one snapshot.
-- Parameters: JSON rows [name, key], partition.
SELECT j.name, j.item_key, COALESCE(v.{value}, 0) AS value,
  COALESCE((SELECT SUM(q.amount) FROM sluice_quarantine q
            WHERE q.kind = '{kind}' AND q.name = j.name AND q.item_key = j.item_key), 0) AS quarantined,
  {held} AS held,
  p.sequence, p.token, p.epoch
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  name VARBINARY({LIMITS.name}) PATH '$[0]', item_key VARBINARY({length}) PATH '$[1]')) j
JOIN sluice_partitions p ON p.partition_id = ?
LEFT JOIN {table} v ON v.{name} = j.name AND v.{key} = j.item_key
