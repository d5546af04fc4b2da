-- Open holds of a partition whose time is over, together with its watermark: one statement, so that an end written
-- since is after this watermark. Parameters: partition, most rows.
SELECT h.program, h.account, h.hold_id, h.amount,
  TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', h.expires_at) DIV 1000 AS expires_ms,
  p.sequence, p.token, p.epoch
FROM sluice_holds h JOIN sluice_partitions p ON p.partition_id = h.partition_id
WHERE h.status = 'open' AND h.partition_id = ? AND h.expires_at <= UTC_TIMESTAMP(3)
ORDER BY h.expires_at LIMIT ?
