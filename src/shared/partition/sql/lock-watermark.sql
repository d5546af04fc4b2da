-- Locks the watermark of one partition until the transaction ends: the holder is the partition's only writer.
SELECT sequence, token, epoch, updates, held FROM sluice_partitions WHERE partition_id = ? FOR UPDATE
