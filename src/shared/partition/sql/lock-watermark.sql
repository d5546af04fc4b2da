-- The watermark of one partition, locked until the transaction ends: whoever holds it is the partition's only writer.
SELECT sequence, token, epoch, updates, held FROM sluice_partitions WHERE partition_id = ? FOR UPDATE
