-- A page of a program's balances beside the sums of their ledgers. Parameters: program, account after which, rows.
SELECT a.account, a.balance,
  (SELECT COALESCE(SUM(e.amount), 0) FROM sluice_entries e WHERE e.program = a.program AND e.account = a.account) AS total
FROM sluice_accounts a
WHERE a.program = ? AND a.account > ?
ORDER BY a.account
LIMIT ?
