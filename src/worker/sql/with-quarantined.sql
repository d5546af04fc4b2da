-- Which of these partitions have entries in quarantine: one look into an index for each.
-- One parameter: the partitions.
SELECT p.partition_id,
  (SELECT 1 FROM sluice_quarantine q WHERE q.partition_id = p.partition_id AND q.kind = 'entry' LIMIT 1) AS found
FROM sluice_partitions p WHERE p.partition_id IN (?)
