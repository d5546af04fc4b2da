-- Uses up the rights to these credits. One parameter: JSON rows [transfer, program, account, amount].
DELETE t
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  transfer VARBINARY({LIMITS.transfer}) PATH '$[0]', program VARBINARY({LIMITS.name}) PATH '$[1]',
  to_account VARBINARY({LIMITS.account}) PATH '$[2]', amount BIGINT PATH '$[3]')) j
STRAIGHT_JOIN sluice_transfers t ON t.transfer = j.transfer AND t.program = j.program AND t.to_account = j.to_account AND t.amount = j.amount AND t.state = 'open'
