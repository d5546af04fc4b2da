-- A page of a program's accounts. Parameters: program, last account of the page before or null, the same again, rows at most.
SELECT account AS item_key FROM sluice_accounts
WHERE program = ? AND (? IS NULL OR account > ?) ORDER BY account LIMIT ?
