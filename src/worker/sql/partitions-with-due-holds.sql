-- Partitions with open holds whose time is over.
SELECT p.partition_id FROM sluice_partitions p
WHERE EXISTS (SELECT 1 FROM sluice_holds h
  WHERE h.status = 'open' AND h.partition_id = p.partition_id AND h.expires_at <= UTC_TIMESTAMP(3))
