-- The next free ledger number of a partition: behind everything that its batches up to the watermark have, before what the
-- next batch will have. Null where no place is left before that. Runs under the watermark's lock.
-- Parameters: first number of the watermark's batch, partition, first number of the batch behind it.
SELECT IF(n.next_no < n.limit_no, n.next_no, NULL) AS ledger_no
FROM (
  SELECT GREATEST(CAST(? AS UNSIGNED), COALESCE((SELECT MAX(ledger_no) + 1 FROM sluice_entries WHERE partition_id = ?), 0)) AS next_no,
    CAST(? AS UNSIGNED) AS limit_no
) n
