-- The next free ledger number of a partition: after all batches up to the watermark, before those of the next
-- batch. Null if none is free. The caller holds the watermark's lock.
-- Parameters: first number of the watermark's batch, partition, first number of the next batch.
SELECT IF(n.next_no < n.limit_no, n.next_no, NULL) AS ledger_no
FROM (
  SELECT GREATEST(CAST(? AS UNSIGNED), COALESCE((SELECT MAX(ledger_no) + 1 FROM sluice_entries WHERE partition_id = ?), 0)) AS next_no,
    CAST(? AS UNSIGNED) AS limit_no
) n
