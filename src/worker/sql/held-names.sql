-- Counters and programs with held updates in a partition. One parameter: partition.
SELECT kind, name, MIN(id) AS oldest FROM sluice_quarantine
WHERE cause = 'held' AND partition_id = ? GROUP BY partition_id, kind, name
