-- Holds of a page whose entry is not what their row says: a posted hold has one of what was posted, or is in quarantine;
-- no other hold has one. One statement, since a flush writes row and entry together. All ends of a hold have the id
-- NUL, 1, hold. Parameters: program; account, account and hold before the page; account, account and hold of its end.
SELECT h.account, h.hold_id, h.status, h.posted, e.amount
FROM sluice_holds h
LEFT JOIN sluice_entries e
  ON e.entry_id = CONCAT(X'0001', h.hold_id) AND e.account = h.account AND e.program = h.program
WHERE h.program = ? AND (h.account > ? OR (h.account = ? AND h.hold_id > ?))
  AND (h.account < ? OR (h.account = ? AND h.hold_id <= ?))
  AND IF(h.status = 'posted', COALESCE(e.amount <> -h.posted, TRUE), e.amount IS NOT NULL)
  AND NOT (h.status = 'posted' AND e.amount IS NULL AND EXISTS (
    SELECT 1 FROM sluice_quarantine q
    WHERE q.kind = 'entry' AND q.name = h.program AND q.item_key = h.account
      AND q.entry_id = CONCAT(X'0001', h.hold_id)))
ORDER BY h.account, h.hold_id
