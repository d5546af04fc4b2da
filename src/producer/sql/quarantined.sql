-- An update's row in quarantine, if any. An entry is found by its id, a counter's sum or a value by its batch. That
-- batch was claimed after the update was accepted; not after the batch that claimed its key, according to the
-- journal, or else the sequence seen; and not from the segment that was in use when the update was accepted.
-- A held row may be the sum of several batches: while a row of the key is held, so are all its updates that
-- were not written before.
-- Parameters: kind, name, key, entry id, sequence before, partition, sequence before, keys pushed, sequence
-- seen, partition, segment's end.
SELECT error_code, cause, id FROM sluice_quarantine q
WHERE kind = ? AND name = ? AND item_key = ?
  AND (entry_id = ? OR (kind <> 'entry' AND cause = 'held')
    OR (kind <> 'entry' AND COALESCE(last_sequence, sequence) > ? AND sequence <= COALESCE(
    (SELECT MIN(b.sequence) FROM sluice_batches b
     WHERE b.partition_id = ? AND b.sequence > ? AND CAST(JSON_UNQUOTE(JSON_EXTRACT(b.outcome, '$.popped')) AS UNSIGNED) >= ?), ?)
    AND NOT EXISTS (SELECT 1 FROM sluice_batches b
     WHERE b.partition_id = ? AND b.sequence = COALESCE(q.last_sequence, q.sequence)
       AND CAST(JSON_UNQUOTE(JSON_EXTRACT(b.outcome, '$.popped')) AS UNSIGNED) <= ?)))
ORDER BY cause = 'held' LIMIT 1
