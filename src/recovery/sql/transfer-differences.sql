-- Transfers of a page that are not one debit, with either its credit or the row that is the right to it. One
-- statement, since a flush moves a transfer from one table to the other meanwhile.
-- Parameters: after, last, after, last.
SELECT t.transfer, MIN(t.program) AS program, MAX(t.program) AS other_program,
  SUM(t.is_row = 0 AND t.amount < 0) AS debits, SUM(t.is_row = 0 AND t.amount > 0) AS credits,
  SUM(t.is_row) AS waiting, SUM(t.amount) AS total
FROM (
  SELECT transfer, program, amount, 0 AS is_row FROM sluice_entries FORCE INDEX (transfer) WHERE transfer > ? AND transfer <= ?
  UNION ALL
  SELECT transfer, program, amount, 1 AS is_row FROM sluice_transfers WHERE transfer > ? AND transfer <= ?
) t
GROUP BY t.transfer
HAVING debits <> 1 OR credits + waiting <> 1 OR total <> 0 OR program <> other_program
ORDER BY t.transfer
