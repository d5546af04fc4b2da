-- The journal of a partition, and the commit time of its last batch, ms. UNIX_TIMESTAMP would interpret the
-- time in the session's time zone, which is the user's. Parameters: partition, twice.
SELECT j.oldest, j.newest, COALESCE(j.batches, 0) AS batches,
  TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', COALESCE(l.committed_at, p.updated_at)) DIV 1000 AS committed_ms
FROM sluice_partitions p
LEFT JOIN (SELECT partition_id, MIN(sequence) AS oldest, MAX(sequence) AS newest, COUNT(*) AS batches
  FROM sluice_batches WHERE partition_id = ? GROUP BY partition_id) j ON j.partition_id = p.partition_id
LEFT JOIN sluice_batches l ON l.partition_id = p.partition_id AND l.sequence = p.sequence
WHERE p.partition_id = ?
