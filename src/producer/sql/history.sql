-- An account's ledger, newest first, or the rows older than an entry.
-- Parameters: program, account, entry id or null, program, account, entry id, ledger number to use if that
-- entry is not in the ledger (null: no rows then), most rows.
SELECT entry_id, amount, balance_after, reason, metadata, transfer, other_account, created_at
FROM sluice_entries
WHERE program = ? AND account = ?
  AND (? IS NULL OR ledger_no < COALESCE(
    (SELECT e.ledger_no FROM sluice_entries e WHERE e.program = ? AND e.account = ? AND e.entry_id = ?), ?))
ORDER BY ledger_no DESC
LIMIT ?
