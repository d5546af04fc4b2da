-- The last hold of a page of a program's holds; no row if the rest is one page. Parameters: program; account, account
-- and hold after which the page begins; rows of the page less one.
SELECT account, hold_id FROM sluice_holds
WHERE program = ? AND (account > ? OR (account = ? AND hold_id > ?))
ORDER BY account, hold_id LIMIT 1 OFFSET ?
