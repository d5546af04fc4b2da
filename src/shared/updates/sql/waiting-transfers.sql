-- Transfers whose credit is not in the ledger, by program and state, with the age of the oldest one in
-- microseconds. The table has few rows: one for each transfer in transit or aside.
SELECT program, state, COUNT(*) AS transfers,
  TIMESTAMPDIFF(MICROSECOND, MIN(created_at), UTC_TIMESTAMP(3)) AS oldest
FROM sluice_transfers GROUP BY program, state ORDER BY program, state
