-- Transfers in transit or aside that a filter selects. Parameters: name after which to start, 1 for
-- every transfer or 0, names; then twice each, null for any: program, account, state, error code, from, until.
SELECT {columns}
FROM sluice_transfers t
WHERE t.transfer > ?
  AND (? OR t.transfer IN (?))
  AND (? IS NULL OR t.program = ?) AND (? IS NULL OR ? IN (t.from_account, t.to_account))
  AND (? IS NULL OR t.state = ?) AND (? IS NULL OR t.error_code = ?)
  AND (? IS NULL OR t.created_at >= ?) AND (? IS NULL OR t.created_at < ?)
{rest}
