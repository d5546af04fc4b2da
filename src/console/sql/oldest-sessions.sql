-- All but the newest ones, which the last parameter counts.
DELETE FROM sluice_sessions
WHERE name = ? AND created_at < (
  SELECT created_at FROM (
    SELECT created_at FROM sluice_sessions WHERE name = ? ORDER BY created_at DESC LIMIT 1 OFFSET ?
  ) AS kept
)
