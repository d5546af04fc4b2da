-- Moves the watermark to the batch just written, or to the target of a recovery.
-- Parameters: sequence, token, epoch, updates claimed so far, partition.
UPDATE sluice_partitions SET sequence = ?, token = ?, epoch = ?, updates = ?, updated_at = UTC_TIMESTAMP(3) WHERE partition_id = ?
