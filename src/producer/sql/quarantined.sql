-- Why an update is in quarantine, if it is. An entry is known by its id, a counter's sum by its batch: one that was claimed
-- after the update was accepted, no later than the batch by which its key had been claimed, which the journal knows, or
-- else than it was seen to be written, and not of the segment that was being used up when it was accepted. A held row may be the
-- sum of several batches. While one of the key is held, so is everything of that key that was not written before.
-- Parameters: kind, name, key, entry id, sequence before, partition, sequence before, keys pushed, sequence seen, partition,
-- segment's end.
SELECT error_code, cause, id FROM sluice_quarantine q
WHERE kind = ? AND name = ? AND item_key = ?
  AND (entry_id = ? OR (kind = 'counter' AND cause = 'held')
    OR (kind = 'counter' AND COALESCE(last_sequence, sequence) > ? AND sequence <= COALESCE(
    (SELECT MIN(b.sequence) FROM sluice_batches b
     WHERE b.partition_id = ? AND b.sequence > ? AND CAST(JSON_UNQUOTE(JSON_EXTRACT(b.outcome, '$.popped')) AS UNSIGNED) >= ?), ?)
    AND NOT EXISTS (SELECT 1 FROM sluice_batches b
     WHERE b.partition_id = ? AND b.sequence = COALESCE(q.last_sequence, q.sequence)
       AND CAST(JSON_UNQUOTE(JSON_EXTRACT(b.outcome, '$.popped')) AS UNSIGNED) <= ?)))
ORDER BY cause = 'held' LIMIT 1
