-- Rows of these holds, and the watermark, in one snapshot. The status is null without a row.
-- Parameters: JSON rows [program, account, hold], partition.
SELECT j.program, j.account, j.hold_id, h.status, h.amount, h.posted,
  TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', h.expires_at) DIV 1000 AS expires_ms, p.sequence, p.token, p.epoch
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  program VARBINARY({LIMITS.name}) PATH '$[0]', account VARBINARY({LIMITS.account}) PATH '$[1]',
  hold_id VARBINARY({LIMITS.hold}) PATH '$[2]')) j
JOIN sluice_partitions p ON p.partition_id = ?
LEFT JOIN sluice_holds h ON h.program = j.program AND h.account = j.account AND h.hold_id = j.hold_id
