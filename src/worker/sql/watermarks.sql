-- Watermarks of partitions. One parameter: the partitions.
SELECT partition_id, sequence, token, epoch FROM sluice_partitions WHERE partition_id IN (?)
