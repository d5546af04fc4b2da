-- The partitions and names that have held updates. On a healthy system it finds no row and costs one look into an index.
SELECT partition_id, kind, name, MIN(id) AS oldest, MAX(id) AS newest FROM sluice_quarantine
WHERE cause = 'held' GROUP BY cause, partition_id, kind, name
