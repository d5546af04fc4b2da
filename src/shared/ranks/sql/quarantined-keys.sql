-- A page of the keys of a counter or program that are in quarantine, held ones included. Parameters: kind, name,
-- last key of the previous page or '', page size.
SELECT DISTINCT item_key FROM sluice_quarantine
WHERE kind = ? AND name = ? AND item_key > ? ORDER BY item_key LIMIT ?
