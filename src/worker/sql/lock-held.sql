-- Locks held updates of one partition and name, in order, without those that an operation has taken.
-- Parameters: partition, kind, name, id after which to start, most rows.
SELECT id, kind, name, item_key, amount, version, payload, created_at FROM sluice_quarantine
WHERE cause = 'held' AND partition_id = ? AND kind = ? AND name = ? AND id > ? AND operation IS NULL ORDER BY id LIMIT ? FOR UPDATE
