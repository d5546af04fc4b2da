-- Opens transfers that are aside. The rest of a worker is over at once: a round sends the credits soon.
-- One parameter: JSON rows [transfer, destination, its partition].
UPDATE JSON_TABLE(?, '$[*]' COLUMNS (
  transfer VARBINARY({LIMITS.transfer}) PATH '$[0]', to_account VARBINARY({LIMITS.account}) PATH '$[1]',
  to_partition SMALLINT UNSIGNED PATH '$[2]')) j
STRAIGHT_JOIN sluice_transfers t ON t.transfer = j.transfer AND t.state = 'aside'
SET t.state = 'open', t.error_code = NULL, t.to_account = j.to_account, t.to_partition = j.to_partition,
  t.driven_at = t.created_at
