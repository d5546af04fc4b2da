-- Puts a transfer aside whose credit was refused. Parameters: error code, transfer.
UPDATE sluice_transfers SET state = 'aside', error_code = ?, driven_at = UTC_TIMESTAMP(3) WHERE transfer = ? AND state = 'open'
