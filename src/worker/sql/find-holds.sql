-- These holds, as they stand. One parameter: JSON rows [program, account, hold].
SELECT STRAIGHT_JOIN h.program, h.account, h.hold_id, h.partition_id, h.status, h.amount
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  program VARBINARY({LIMITS.name}) PATH '$[0]', account VARBINARY({LIMITS.account}) PATH '$[1]',
  hold_id VARBINARY({LIMITS.hold}) PATH '$[2]')) j
JOIN sluice_holds h ON h.program = j.program AND h.account = j.account AND h.hold_id = j.hold_id
