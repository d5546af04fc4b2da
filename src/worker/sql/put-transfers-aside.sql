-- Puts transfers aside whose credits were refused. One parameter: JSON rows [transfer, error code].
UPDATE JSON_TABLE(?, '$[*]' COLUMNS (
  transfer VARBINARY({LIMITS.transfer}) PATH '$[0]', error_code VARCHAR({LIMITS.code}) CHARACTER SET ascii PATH '$[1]')) j
STRAIGHT_JOIN sluice_transfers t ON t.transfer = j.transfer AND t.state = 'open'
SET t.state = 'aside', t.error_code = j.error_code, t.driven_at = UTC_TIMESTAMP(3)
