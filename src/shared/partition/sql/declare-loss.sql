-- Records a loss once for each cause, with the largest number found.
-- Parameters: partition, kind, cause, updates.
INSERT INTO sluice_losses (partition_id, kind, cause, updates, found_at)
SELECT j.partition_id, j.kind, j.cause, j.updates, UTC_TIMESTAMP(3)
FROM (SELECT ? AS partition_id, ? AS kind, ? AS cause, ? AS updates) j
ON DUPLICATE KEY UPDATE updates = GREATEST(sluice_losses.updates, j.updates)
