-- Posts of a page whose hold has no row. Parameters: id, id, account, account and program before the page; the same of
-- its end.
SELECT e.program, e.account, e.entry_id, e.amount
FROM sluice_entries e FORCE INDEX (entry)
LEFT JOIN sluice_holds h
  ON h.program = e.program AND h.account = e.account AND h.hold_id = SUBSTRING(e.entry_id, 3)
WHERE e.entry_id < X'0002'
  AND (e.entry_id > ? OR (e.entry_id = ? AND (e.account > ? OR (e.account = ? AND e.program > ?))))
  AND (e.entry_id < ? OR (e.entry_id = ? AND (e.account < ? OR (e.account = ? AND e.program <= ?))))
  AND h.hold_id IS NULL
ORDER BY e.entry_id, e.account, e.program
