-- A page of a program's accounts that have a balance or entries: the balance and the sum of the ledger.
-- `after` is the last account of the previous page. Parameters: program, program, after, rows, program,
-- after, rows, rows, program.
SELECT k.account, COALESCE(a.balance, 0) AS balance,
  COALESCE((SELECT SUM(e.amount) FROM sluice_entries e WHERE e.program = ? AND e.account = k.account), 0) AS total
FROM (
  (SELECT account FROM sluice_accounts WHERE program = ? AND account > ? ORDER BY account LIMIT ?)
  UNION
  (SELECT DISTINCT account FROM sluice_entries WHERE program = ? AND account > ? ORDER BY account LIMIT ?)
  ORDER BY account LIMIT ?
) k
LEFT JOIN sluice_accounts a ON a.program = ? AND a.account = k.account
ORDER BY k.account
