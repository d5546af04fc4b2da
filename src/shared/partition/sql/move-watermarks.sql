-- Moves the watermarks of several partitions to their next batches, under the same epochs. The caller repeats
-- the row. Parameters, for each: partition, sequence, token, updates claimed so far.
UPDATE (SELECT ? AS partition_id, ? AS sequence, ? AS token, ? AS updates{more}) j
STRAIGHT_JOIN sluice_partitions p ON p.partition_id = j.partition_id
SET p.sequence = j.sequence, p.token = j.token, p.updates = j.updates, p.updated_at = UTC_TIMESTAMP(3)
