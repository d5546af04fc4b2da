-- Refused updates in quarantine, age of the oldest one in microseconds (ids ascend with time), for how many
-- microseconds the time of an open hold has been over, and this server's limit of connections. The earliest time of
-- each partition is one step in the index.
SELECT
  (SELECT COUNT(*) FROM sluice_quarantine WHERE cause = 'refused') AS quarantined,
  COALESCE(TIMESTAMPDIFF(MICROSECOND,
    (SELECT created_at FROM sluice_quarantine
     WHERE id = (SELECT MIN(id) FROM sluice_quarantine WHERE cause = 'refused')), UTC_TIMESTAMP(3)), 0) AS oldest,
  GREATEST(0, COALESCE(TIMESTAMPDIFF(MICROSECOND,
    (SELECT MIN(earliest) FROM (SELECT MIN(expires_at) AS earliest FROM sluice_holds
      WHERE status = 'open' AND expires_at IS NOT NULL GROUP BY status, partition_id) e), UTC_TIMESTAMP(3)), 0)) AS overdue,
  @@GLOBAL.max_connections AS connections
