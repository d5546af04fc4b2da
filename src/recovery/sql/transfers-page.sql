-- The last transfer of a page: no page has more than this many rows of either table. Null if the rest is one
-- page. Parameters: after, rows, after, rows.
SELECT MIN(transfer) AS last FROM (
  (SELECT transfer FROM sluice_entries WHERE transfer > ? ORDER BY transfer LIMIT 1 OFFSET ?)
  UNION ALL
  (SELECT transfer FROM sluice_transfers WHERE transfer > ? ORDER BY transfer LIMIT 1 OFFSET ?)
) p
