-- Writes new holds, perhaps ended already. One parameter: JSON rows [program, account, hold, partition, amount, status,
-- posted, expiry, acceptance, end], times in ms.
INSERT INTO sluice_holds
  (program, account, hold_id, partition_id, amount, status, posted, expires_at, created_at, ended_at)
SELECT j.program, j.account, j.hold_id, j.partition_id, j.amount, j.status, j.posted,
  TIMESTAMPADD(MICROSECOND, j.expires_ms * 1000, TIMESTAMP'1970-01-01 00:00:00'),
  TIMESTAMPADD(MICROSECOND, j.created_ms * 1000, TIMESTAMP'1970-01-01 00:00:00'),
  TIMESTAMPADD(MICROSECOND, j.ended_ms * 1000, TIMESTAMP'1970-01-01 00:00:00')
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  program VARBINARY({LIMITS.name}) PATH '$[0]', account VARBINARY({LIMITS.account}) PATH '$[1]',
  hold_id VARBINARY({LIMITS.hold}) PATH '$[2]', partition_id SMALLINT UNSIGNED PATH '$[3]', amount BIGINT PATH '$[4]',
  status CHAR(8) CHARACTER SET ascii PATH '$[5]', posted BIGINT PATH '$[6]', expires_ms BIGINT PATH '$[7]',
  created_ms BIGINT PATH '$[8]', ended_ms BIGINT PATH '$[9]')) j
