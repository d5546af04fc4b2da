-- Why an update is in quarantine, if it is. An entry is known by its id, a counter's sum by its batch: one that was claimed
-- after the update was accepted and no later than it was seen to be written.
-- Parameters: kind, name, key, entry id, sequence before, sequence seen.
SELECT error_code FROM sluice_quarantine
WHERE kind = ? AND name = ? AND item_key = ?
  AND (entry_id = ? OR (kind = 'counter' AND sequence > ? AND sequence <= ?))
LIMIT 1
