-- Partitions and names with held updates. Without any it costs one look into an index.
SELECT partition_id, kind, name, MIN(id) AS oldest, MAX(id) AS newest FROM sluice_quarantine
WHERE cause = 'held' GROUP BY cause, partition_id, kind, name
