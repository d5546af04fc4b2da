-- Moves the watermark to the batch just written. Parameters: sequence, token, epoch, partition.
UPDATE sluice_partitions SET sequence = ?, token = ?, epoch = ?, updated_at = UTC_TIMESTAMP(3) WHERE partition_id = ?
