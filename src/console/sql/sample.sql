-- What the console asks once in some seconds. Each count ends at its limit. Numbers ascend with time, so that the first
-- refused row is the oldest one: MIN(id) would read all of them.
SELECT
  (SELECT COUNT(*) FROM (SELECT 1 FROM sluice_quarantine WHERE cause = 'refused' LIMIT 10001) r) AS refused,
  (SELECT COUNT(*) FROM (SELECT 1 FROM sluice_quarantine WHERE cause = 'held' LIMIT 10001) h) AS held,
  TIMESTAMPDIFF(MICROSECOND,
    (SELECT created_at FROM sluice_quarantine FORCE INDEX (PRIMARY)
     WHERE cause = 'refused' ORDER BY id LIMIT 1), UTC_TIMESTAMP(3)) AS oldest,
  (SELECT COUNT(*) FROM (SELECT 1 FROM sluice_transfers WHERE state = 'aside' LIMIT 10001) t) AS aside,
  GREATEST(0, COALESCE(TIMESTAMPDIFF(MICROSECOND,
    (SELECT MIN(earliest) FROM (SELECT MIN(expires_at) AS earliest FROM sluice_holds
      WHERE status = 'open' AND expires_at IS NOT NULL GROUP BY status, partition_id) e), UTC_TIMESTAMP(3)), 0)) AS overdue,
  (SELECT COALESCE(SUM(updates), 0) FROM sluice_losses WHERE kind = 'lost') AS lost,
  (SELECT COALESCE(SUM(updates), 0) FROM sluice_losses WHERE kind = 'doubled') AS doubled,
  (SELECT COALESCE(SUM(updates), 0) FROM sluice_losses WHERE found_at > UTC_TIMESTAMP(3) - INTERVAL 1 HOUR) AS recent
