-- Transfers in transit, by their names. Parameters: name after which to start, state or null twice, most rows.
SELECT * FROM sluice_transfers
WHERE transfer > ? AND (? IS NULL OR state = ?)
ORDER BY transfer LIMIT ?
