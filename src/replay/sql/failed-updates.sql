-- Quarantined updates that a filter selects. Parameters: lower bound of the number (exclusive), upper bound
-- (inclusive), operation whose updates are excluded (0: none), 1 for every number or 0, numbers; then twice
-- each, null for any: kind, name, key, pattern of the key, error code, from, until, partition, sequence.
SELECT {columns}
FROM sluice_quarantine q
WHERE q.id > ? AND q.id <= ?
  AND NOT EXISTS (SELECT 1 FROM sluice_operation_items i WHERE i.operation_id = ? AND i.quarantine_id = q.id)
  AND (? OR q.id IN (?))
  AND (? IS NULL OR q.kind = ?) AND (? IS NULL OR q.name = ?) AND (? IS NULL OR q.item_key = ?)
  AND (? IS NULL OR q.item_key LIKE ? ESCAPE '|')
  AND (? IS NULL OR q.error_code = ?)
  AND (? IS NULL OR q.created_at >= ?) AND (? IS NULL OR q.created_at < ?)
  AND (? IS NULL OR q.partition_id = ?) AND (? IS NULL OR q.sequence = ?)
{rest}
