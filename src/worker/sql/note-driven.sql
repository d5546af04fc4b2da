-- Notes that these credits were sent, or have to wait. One parameter: JSON array of transfers.
UPDATE JSON_TABLE(?, '$[*]' COLUMNS (transfer VARBINARY({LIMITS.transfer}) PATH '$')) j
STRAIGHT_JOIN sluice_transfers t ON t.transfer = j.transfer
SET t.driven_at = UTC_TIMESTAMP(3)
