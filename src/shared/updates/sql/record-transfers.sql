-- Records what an operation did to transfers. The last outcome counts. Parameters: operation; JSON rows
-- [transfer, outcome, the original row as JSON].
INSERT INTO sluice_operation_items (operation_id, quarantine_id, transfer, outcome, original, done_at)
SELECT o.id, 0, j.transfer, j.outcome, j.original, UTC_TIMESTAMP(3)
FROM (SELECT ? AS id) o,
JSON_TABLE(?, '$[*]' COLUMNS (
  transfer VARBINARY({LIMITS.transfer}) PATH '$[0]', outcome VARCHAR({LIMITS.code}) CHARACTER SET ascii PATH '$[1]',
  original LONGTEXT CHARACTER SET utf8mb4 PATH '$[2]')) j
ON DUPLICATE KEY UPDATE done_at = UTC_TIMESTAMP(3), outcome = j.outcome
