-- Which of these ids are in the ledger or in quarantine already, and in which.
-- Parameters: twice the JSON rows [program, account, entry_id].
SELECT STRAIGHT_JOIN e.program, e.account, e.entry_id, 0 AS is_quarantined
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  program VARBINARY({LIMITS.name}) PATH '$[0]', account VARBINARY({LIMITS.account}) PATH '$[1]', entry_id VARBINARY({LIMITS.id}) PATH '$[2]')) j
JOIN sluice_entries e ON e.program = j.program AND e.account = j.account AND e.entry_id = j.entry_id
UNION ALL
SELECT STRAIGHT_JOIN q.name, q.item_key, q.entry_id, 1
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  program VARBINARY({LIMITS.name}) PATH '$[0]', account VARBINARY({LIMITS.account}) PATH '$[1]', entry_id VARBINARY({LIMITS.id}) PATH '$[2]')) k
JOIN sluice_quarantine q
  ON q.kind = 'entry' AND q.name = k.program AND q.item_key = k.account AND q.entry_id = k.entry_id
