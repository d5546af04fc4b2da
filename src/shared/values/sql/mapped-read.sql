-- Values and quarantined sums of these keys, and the watermark, in one snapshot. Keys are also compared as
-- text, since JSON_TABLE silently turns "09", and on MariaDB even "abc", into a number. The value is null if
-- JSON_TABLE changed a key although its type holds every key: then no row is found although there may be one.
-- Parameters: JSON rows [name, key, parts], partition.
SELECT j.name, j.item_key, IF({changedKeys}, NULL, COALESCE(t.{column}, 0)) AS value,
  COALESCE((SELECT SUM(q.amount) FROM sluice_quarantine q
            WHERE q.kind = '{kind}' AND q.name = j.name AND q.item_key = j.item_key), 0) AS quarantined,
  {held} AS held,
  p.sequence, p.token, p.epoch
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  name VARBINARY({LIMITS.name}) PATH '$[0]', item_key VARBINARY({LIMITS.key}) PATH '$[1]', {typedKeysAndTexts})) j
JOIN sluice_partitions p ON p.partition_id = ?
LEFT JOIN {table} t ON {sameKeys}
