-- Values of these keys with what of them is in quarantine, and the watermark, in one snapshot. A key is compared as
-- text too: JSON_TABLE turns "09", and on MariaDB even "abc", into a number without a word.
-- Parameters: JSON rows [name, key], partition.
SELECT j.name, j.item_key, COALESCE(t.{column}, 0) AS value,
  COALESCE((SELECT SUM(q.amount) FROM sluice_quarantine q
            WHERE q.kind = '{kind}' AND q.name = j.name AND q.item_key = j.item_key), 0) AS quarantined,
  p.sequence, p.token, p.epoch
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  name VARBINARY(64) PATH '$[0]', item_key VARBINARY(512) PATH '$[1]', typed_key {keyType} PATH '$[1]')) j
JOIN sluice_partitions p ON p.partition_id = ?
LEFT JOIN {table} t ON t.{key} = j.typed_key AND CAST(t.{key} AS BINARY) = j.item_key
