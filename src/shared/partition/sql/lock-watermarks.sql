-- Locks the watermarks of these partitions, in ascending order, without those that another transaction has
-- locked. The index is forced, since a scan would also touch the rows of other partitions, and another group
-- would take them for locked. One parameter: the partitions.
SELECT partition_id, sequence, token, epoch, updates, held FROM sluice_partitions FORCE INDEX (PRIMARY)
WHERE partition_id IN (?) ORDER BY partition_id FOR UPDATE SKIP LOCKED
