-- Refused updates in quarantine, age of the oldest one in microseconds (ids ascend with time), and this
-- server's limit of connections.
SELECT
  (SELECT COUNT(*) FROM sluice_quarantine WHERE cause = 'refused') AS quarantined,
  COALESCE(TIMESTAMPDIFF(MICROSECOND,
    (SELECT created_at FROM sluice_quarantine
     WHERE id = (SELECT MIN(id) FROM sluice_quarantine WHERE cause = 'refused')), UTC_TIMESTAMP(3)), 0) AS oldest,
  @@GLOBAL.max_connections AS connections
