-- Ends open holds. One parameter: JSON rows as insert-holds.sql takes them.
UPDATE JSON_TABLE(?, '$[*]' COLUMNS (
  program VARBINARY({LIMITS.name}) PATH '$[0]', account VARBINARY({LIMITS.account}) PATH '$[1]',
  hold_id VARBINARY({LIMITS.hold}) PATH '$[2]', status CHAR(8) CHARACTER SET ascii PATH '$[5]',
  posted BIGINT PATH '$[6]', ended_ms BIGINT PATH '$[9]')) j
STRAIGHT_JOIN sluice_holds h ON h.program = j.program AND h.account = j.account AND h.hold_id = j.hold_id AND h.status = 'open'
SET h.status = j.status, h.posted = j.posted,
  h.ended_at = TIMESTAMPADD(MICROSECOND, j.ended_ms * 1000, TIMESTAMP'1970-01-01 00:00:00')
