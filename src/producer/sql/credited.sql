-- Which of these transfers have been credited, and to which account. One parameter: JSON rows
-- [program, source, id of the debit].
SELECT STRAIGHT_JOIN d.program, d.account, d.entry_id, c.account AS credited
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  program VARBINARY({LIMITS.name}) PATH '$[0]', account VARBINARY({LIMITS.account}) PATH '$[1]', entry_id VARBINARY({LIMITS.id}) PATH '$[2]')) j
JOIN sluice_entries d ON d.entry_id = j.entry_id AND d.account = j.account AND d.program = j.program
JOIN sluice_entries c ON c.transfer = d.transfer AND c.amount > 0
