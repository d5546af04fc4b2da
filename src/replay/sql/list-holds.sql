-- Holds that a filter selects, in the order of the key. Parameters: the hold after which to start, as program, program,
-- account, program, account, hold, all empty for the first page; then twice each, null for any: program, account, status,
-- seconds since their time was over; then most rows.
SELECT h.program, h.account, h.hold_id, h.amount, h.status, h.posted, h.expires_at, h.created_at, h.ended_at
FROM sluice_holds h
WHERE (h.program > ? OR (h.program = ? AND h.account > ?) OR (h.program = ? AND h.account = ? AND h.hold_id > ?))
  AND (? IS NULL OR h.program = ?) AND (? IS NULL OR h.account = ?) AND (? IS NULL OR h.status = ?)
  AND (? IS NULL OR (h.status = 'open' AND h.expires_at <= UTC_TIMESTAMP(3) - INTERVAL ? SECOND))
ORDER BY h.program, h.account, h.hold_id LIMIT ?
