-- Which of these ids the ledger has already. One parameter: JSON rows [program, account, entry_id].
SELECT STRAIGHT_JOIN e.program, e.account, e.entry_id
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  program VARBINARY(64) PATH '$[0]', account VARBINARY(255) PATH '$[1]', entry_id VARBINARY(255) PATH '$[2]')) j
JOIN sluice_entries e ON e.program = j.program AND e.account = j.account AND e.entry_id = j.entry_id
