-- An account's ledger, newest first, from just before an entry where one is given.
-- Parameters: program, account, entry id or null, program, account, entry id, most rows.
SELECT entry_id, amount, balance_after, reason, metadata, created_at
FROM sluice_entries
WHERE program = ? AND account = ?
  AND (? IS NULL OR ledger_no < (SELECT e.ledger_no FROM sluice_entries e WHERE e.program = ? AND e.account = ? AND e.entry_id = ?))
ORDER BY ledger_no DESC
LIMIT ?
