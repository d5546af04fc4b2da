-- The open transfers of a partition whose credits were sent too long ago, together with its watermark: one
-- statement, so that a credit written since is after this watermark.
-- Parameters: partition, age in microseconds, most rows.
SELECT t.transfer, t.program, t.from_account, t.to_account, t.entry_id, t.amount, p.sequence, p.token, p.epoch
FROM sluice_transfers t JOIN sluice_partitions p ON p.partition_id = t.to_partition
WHERE t.to_partition = ? AND t.state = 'open' AND t.driven_at <= UTC_TIMESTAMP(3) - INTERVAL ? MICROSECOND
ORDER BY t.driven_at LIMIT ?
