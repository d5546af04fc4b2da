-- Partitions to which credits were sent too long ago. One parameter: age, microseconds.
SELECT p.partition_id FROM sluice_partitions p
WHERE EXISTS (SELECT 1 FROM sluice_transfers t
  WHERE t.to_partition = p.partition_id AND t.state = 'open' AND t.driven_at <= UTC_TIMESTAMP(3) - INTERVAL ? MICROSECOND)
