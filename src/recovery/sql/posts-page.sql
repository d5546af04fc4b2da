-- The last entry of a page of posts, in the order of their ids; no row if the rest is one page. Parameters: id, id,
-- account, account and program after which the page begins; rows of the page less one.
SELECT entry_id, account, program FROM sluice_entries FORCE INDEX (entry)
WHERE entry_id < X'0002' AND (entry_id > ? OR (entry_id = ? AND (account > ? OR (account = ? AND program > ?))))
ORDER BY entry_id, account, program LIMIT 1 OFFSET ?
