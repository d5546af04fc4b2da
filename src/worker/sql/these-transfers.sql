-- Those of these transfers that are still open, together with the watermark of their partition: see
-- due-transfers.sql. Parameters: JSON array of transfers, partition.
SELECT STRAIGHT_JOIN t.transfer, t.program, t.from_account, t.to_account, t.entry_id, t.amount, p.sequence, p.token, p.epoch
FROM JSON_TABLE(?, '$[*]' COLUMNS (transfer VARBINARY({LIMITS.transfer}) PATH '$')) j
JOIN sluice_transfers t ON t.transfer = j.transfer
JOIN sluice_partitions p ON p.partition_id = t.to_partition
WHERE t.to_partition = ? AND t.state = 'open'
